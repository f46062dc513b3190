import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { readConfig } from "../configs/read-config";
import type { EngineLocation } from "./engine";
import { runEngine } from "./engine-process";
import type { PreparationHooks } from "./prepare";
import { hasCode, Refused } from "./refused";
import { exists, readRunRecord, runFiles } from "./run-directory";
import { openRun } from "./runs";
import { vocabularyFiles } from "./vocabulary/extend-vocabulary";

/** Types that merged weights can be written in; without one, they stay as the base's files have them. */
export const exportDtypes = ["float32", "bfloat16", "float16"] as const;
export type ExportDtype = (typeof exportDtypes)[number];

/** An adapter and the model below it. */
export interface MergeSource {
  /** HF directory. */
  model: string;
  /** PEFT adapter directory. */
  adapter: string;
  /** Where the merged model goes unless another place is named. */
  output: string;
}

const adapterConfigSchema = z.object({ base_model_name_or_path: z.string().min(1).nullish() });

/**
 * Finds what is to be merged.
 * @param path absolute: a run directory, or a PEFT adapter directory
 * @throws Refused when there is no adapter, or its base is not there
 */
export async function mergeSource(path: string): Promise<MergeSource> {
  const run = await readRunRecord(path);
  const adapter = run === undefined ? path : join(path, "adapter");
  const configFile = join(adapter, "adapter_config.json");
  let text: string;
  try {
    text = await readFile(configFile, "utf8");
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    throw new Refused(await whyNoAdapter(path, run?.name));
  }
  let config: z.infer<typeof adapterConfigSchema>;
  try {
    config = adapterConfigSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Refused(`${configFile} is no adapter's config: ${(error as Error).message}`);
  }
  const named = config.base_model_name_or_path;
  if (!named) throw new Refused(`${configFile} does not name the model below it (base_model_name_or_path).`);
  const model = isAbsolute(named) ? named : resolve(adapter, named);
  if (!(await exists(join(model, "config.json")))) {
    throw new Refused(
      `The adapter ${adapter} was trained on ${named}, which is not a model directory here. ` +
        `Put that model there, or correct base_model_name_or_path in ${configFile}.`,
    );
  }
  const output = run === undefined ? `${adapter.replace(/\/+$/, "")}-merged` : join(path, "merged");
  return { model, adapter, output };
}

async function whyNoAdapter(path: string, name: string | undefined): Promise<string> {
  if (name === undefined) {
    return `${path} is neither a run nor a PEFT adapter directory: it has no adapter_config.json.`;
  }
  const model = join(path, "model");
  if (await exists(model)) {
    return `${name} trained every weight, so there is nothing to merge; its model is ${model}.`;
  }
  if (await extendsVocabulary(path)) {
    const tokenizer = join(path, vocabularyFiles.tokenizer);
    return (await exists(tokenizer))
      ? `${name} extended a vocabulary, so there is nothing to merge; its tokenizer is ${tokenizer}.`
      : `${name} extends a vocabulary, so there is nothing to merge; it has not written its tokenizer, ${tokenizer}.`;
  }
  const { summary } = await openRun(path);
  if (summary.resumable) {
    return (
      `${name} has no adapter yet: it is written after the last step, and the run is ${summary.state} at step ${summary.step} of ${summary.steps}. ` +
      `Resume it, and export it when it has finished: ziptie resume ${path}`
    );
  }
  return `${name} has no adapter yet: it is written after the last step. ${join(path, runFiles.events)} says how far it is.`;
}

/** Whether a run makes a tokenizer, and no model. */
export async function extendsVocabulary(run: string): Promise<boolean> {
  const path = join(run, runFiles.config);
  const text = await readFile(path, "utf8").catch(() => "");
  return readConfig(text, path).partial?.stage === "vocabulary";
}

export interface ExportOptions {
  /** Absolute; may not exist yet. */
  output: string;
  dtype: ExportDtype | null;
}

/**
 * Merges an adapter into its model and writes the whole as an HF directory, with the tokenizer beside it. When it is cancelled
 * or fails, nothing is left.
 * @throws Refused with the engine's reason; AbortError
 */
export async function exportModel(
  source: MergeSource,
  { output, dtype }: ExportOptions,
  engine: EngineLocation,
  { report, signal }: Pick<PreparationHooks, "report" | "signal">,
): Promise<void> {
  if (await exists(output)) throw new Refused(`${output} exists already; name another place with --output.`);
  if (!(await exists(dirname(output))))
    throw new Refused(`There is no folder ${dirname(output)} to export into.`);
  const args = ["export", "--model", source.model, "--adapter", source.adapter, "--output", output];
  if (dtype !== null) args.push("--dtype", dtype);
  await runEngine(engine, args, {
    signal,
    onProgress: (line) => {
      const [, done, total] = /^(\d+) of (\d+) tensors merged\s*$/.exec(line) ?? [];
      if (done === undefined) return false;
      report({ message: "Merging the adapter", fraction: Number(done) / Math.max(1, Number(total)) });
      return true;
    },
  });
}
