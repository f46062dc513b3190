import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../../shared/data", import.meta.url));

/** The folder of real-world test inputs beside the repository; undefined where it is absent, and tests that need it skip. */
export const sharedData: string | undefined = existsSync(folder) ? folder : undefined;
