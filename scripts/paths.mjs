// Everything under scripts/ needs plain Node: the entry points run before node_modules exists.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Everything that is built or installed for building and testing. */
export const dist = join(root, "dist");
/** This platform as the marketplace names it. */
export const target = `${process.platform}-${process.arch}`;
