import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { TrainingPlan } from "../configs/training-plan";
import { Refused } from "./refused";
import { RunsRegistry } from "./runs";

/**
 * The HF directory that the newest finished run of a config wrote.
 * @param config the other config's plan
 * @throws Refused saying what to train first, and how
 */
export async function newestModelOf(
  config: Pick<TrainingPlan, "config" | "output_dir" | "adapter">,
): Promise<string> {
  const command = `ziptie train ${quoted(config.config)}`;
  if (config.adapter !== null) {
    throw new Refused(
      `${config.config} trains an adapter, not a model; model_name_or_path takes the config of a run that trains every weight. Merge the adapter with ziptie export and name the directory that it writes.`,
    );
  }
  const runs = (await new RunsRegistry().list([config.output_dir])).filter(
    (run) => run.config === config.config,
  );
  const finished = runs.find((run) => run.state === "finished");
  if (finished === undefined) {
    const going = runs.find((run) => run.state === "running" || run.state === "preparing");
    throw new Refused(
      going === undefined
        ? `${config.config} has no finished run yet, so there is no model to start from. Train it first: ${command}`
        : `${config.config} is being trained now (${going.run}). Start this one when it has finished.`,
    );
  }
  const model = join(finished.run, "model");
  try {
    if ((await stat(model)).isDirectory()) return model;
  } catch {
    // said below
  }
  throw new Refused(
    `The run ${finished.run} has finished but its model is gone: ${model}. Train it again: ${command}`,
  );
}

/** As a shell takes it. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
