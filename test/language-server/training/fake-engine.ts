import { chmodSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineLocation } from "../../../language-server/src/training/engine";

/**
 * `trains`: all steps, then ends. `waits`: three steps and a checkpoint at the second, then goes on until it is told to stop.
 * `fails`: says why and ends. `broken`: cannot even be loaded.
 */
export type Behaviour = "trains" | "waits" | "fails" | "broken";

/** An executable that behaves like the engine. */
export function fakeEngine(directory: string, behaviour: Behaviour): EngineLocation {
  const path = join(directory, `engine-${behaviour}`);
  const script = join(__dirname, "engine-stand-in.mjs");
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${script}' ${behaviour} "$@"\n`);
  chmodSync(path, 0o755);
  return { path, origin: "the setting ziptie.engine.path" };
}

export function temporaryDirectory(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), "ziptie-test-")));
}

/** A run directory as preparation leaves it for the engine, as far as runs and the fake engine look at it. */
export function preparedRun(
  outputDirectory: string,
  name: string,
  { steps = 5, config = "/nowhere/sft.ziptie.yaml" } = {},
): string {
  const run = join(outputDirectory, name);
  mkdirSync(join(run, "data"), { recursive: true });
  writeFileSync(join(run, "run.json"), JSON.stringify({ config, started: new Date().toISOString(), name }));
  writeFileSync(join(run, "plan.json"), JSON.stringify({ output: run, schedule: { steps } }));
  return run;
}

/** Waits for a condition by asking again and again; gives up only with the test's own time limit. */
export async function until<T>(question: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const answer = await question();
    if (answer !== undefined && answer !== false) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
