import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { dist, root } from "../paths.mjs";
import { Problem, run, step } from "../processes.mjs";

export const engineBuild = join(dist, "native");
/** The engine and its tests with AddressSanitizer and UndefinedBehaviorSanitizer. */
export const sanitizedBuild = join(dist, "native-sanitize");
export const engineProgram = join(dist, "engine", "ziptie-engine");

/** Builds the native engine into dist/engine, and its tests; cmake and ninja do only what changed. */
export async function buildEngine() {
  if (!existsSync(join(root, "native", "CMakeLists.txt"))) {
    throw new Problem("native/CMakeLists.txt is missing: the engine cannot be built.");
  }
  await step("build the engine", async () => {
    await run("cmake", ["-S", "native", "-B", engineBuild, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    await run("cmake", ["--build", engineBuild, "--parallel", String(availableParallelism())]);
  });
  const described = await run(engineProgram, ["describe", "--format", "json"]);
  try {
    JSON.parse(described);
  } catch {
    throw new Problem(`The engine was built but does not describe itself in JSON:\n${described}`);
  }
}

/** Builds the engine and its tests with sanitizers, beside the others: its program never takes the place of the one that ships. */
export async function buildSanitizedEngine() {
  await step("build the engine with sanitizers", async () => {
    const settings = ["-DCMAKE_BUILD_TYPE=Release", "-DZIPTIE_SANITIZE=ON"];
    await run("cmake", ["-S", "native", "-B", sanitizedBuild, "-G", "Ninja", ...settings]);
    await run("cmake", ["--build", sanitizedBuild, "--parallel", String(availableParallelism())]);
  });
}
