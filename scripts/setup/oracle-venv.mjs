import { join } from "node:path";
import { dist, root } from "../paths.mjs";
import { run, step } from "../processes.mjs";
import { fingerprint, unlessDone } from "../stamps.mjs";
import { pythonVersion } from "./prerequisites.mjs";

const venv = join(dist, "oracle-venv");
export const oraclePython = join(venv, "bin", "python");

/** A virtual environment with the PyTorch, transformers and PEFT that the engine is compared with. */
export async function installOracle() {
  const requirements = join(root, "test", "oracle", "requirements.txt");
  await unlessDone("oracle-venv", fingerprint([requirements], pythonVersion()), oraclePython, () =>
    step("install PyTorch, transformers and PEFT for the oracle tests", async () => {
      await run("python3", ["-m", "venv", venv]);
      await run(oraclePython, ["-m", "pip", "install", "--quiet", "--requirement", requirements]);
    }),
  );
}
