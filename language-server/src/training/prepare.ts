import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { runNumber } from "../configs/run-names";
import type { DatasetSource, TrainingPlan } from "../configs/training-plan";
import type { PlanSummary } from "../protocol";
import { type DataSummary, droppedCounts, warningsOf } from "./data-summary";
import { sha256OfFiles } from "./digests";
import { encodeDataset } from "./encode-dataset";
import { type EnginePlan, enginePlanSchema } from "./engine-plan";
import { loadInputs, type TrainingInputs } from "./inputs";
import { thisMachine } from "./machine";
import { draftPlan, summarisePlan } from "./plan-summary";
import { type Reporter, throttled } from "./progress";
import { RunningAlready } from "./refused";
import { createRunDirectory, runFiles } from "./run-directory";
import { type NamedFile, recordSources, stampsOf } from "./run-sources";
import { RunsRegistry } from "./runs";
import { ShardWriter, type WrittenShard, writeAside } from "./shards";
import { unwritable } from "./unwritable";

export interface PreparationHooks {
  report: Reporter;
  signal: AbortSignal;
  /** This run directory is being filled, and removed again if that fails or is cancelled; null: it is complete. */
  onDirectory?: (run: string | null) => void;
}

/** What a config would do: reads the data as training would, and writes nothing. @throws Refused, AbortError */
export async function planTraining(plan: TrainingPlan, hooks: PreparationHooks): Promise<PlanSummary> {
  const inputs = await loadInputs(plan);
  const report = throttled(hooks.report);
  const encode = async (sources: readonly DatasetSource[], packing: boolean): Promise<DataSummary[]> => {
    const summaries: DataSummary[] = [];
    for (const source of sources) {
      summaries.push(await encodeDataset(source, { ...plan, packing }, inputs, null, report, hooks.signal));
    }
    return summaries;
  };
  const data = {
    train: await encode(plan.dataset, plan.packing),
    evaluation: await encode(plan.evaluation?.dataset ?? [], false),
  };
  return summarisePlan(plan, inputs, data, thisMachine());
}

export interface PreparedRun {
  /** Absolute path of the run directory; this process holds its start lock. */
  run: string;
  /** Rows that are not trained on, and why. */
  warnings: string[];
}

/**
 * Makes a run directory that the engine can be started on: shards, hashes, plan, and the config as it is now.
 * @throws RunningAlready, Refused, AbortError; the directory is gone then
 */
export async function prepareRun(
  plan: TrainingPlan,
  configText: string,
  hooks: PreparationHooks,
): Promise<PreparedRun> {
  await refuseSecondRun(plan);
  const inputs = await loadInputs(plan);
  hooks.signal.throwIfAborted();
  let run: string | undefined;
  try {
    const record = { config: plan.config, name: plan.name, started: new Date().toISOString() };
    run = await createRunDirectory(plan.output_dir, record, configText);
    hooks.onDirectory?.(run);
    await refuseSecondRun(plan, run);
    const warnings = await fillRunDirectory(run, plan, inputs, hooks);
    hooks.signal.throwIfAborted();
    hooks.onDirectory?.(null);
    return { run, warnings };
  } catch (error) {
    if (run !== undefined) await rm(run, { recursive: true, force: true });
    throw unwritable(error, plan.output_dir);
  }
}

/** Two starts at the same moment each see the other's directory: the one with the higher number steps back. */
async function refuseSecondRun(plan: TrainingPlan, own?: string): Promise<void> {
  const ownNumber = own === undefined ? Number.POSITIVE_INFINITY : numberOf(own, plan);
  for (const other of await new RunsRegistry().list([plan.output_dir])) {
    const isActive = other.state === "running" || other.state === "preparing";
    if (!isActive || other.config !== plan.config || other.run === own) continue;
    if (numberOf(other.run, plan) < ownNumber) throw new RunningAlready(other.run);
  }
}

function numberOf(run: string, plan: TrainingPlan): number {
  return runNumber(basename(run), plan.name) ?? 0;
}

async function fillRunDirectory(
  run: string,
  plan: TrainingPlan,
  inputs: TrainingInputs,
  hooks: PreparationHooks,
): Promise<string[]> {
  const report = throttled(hooks.report);
  const encode = async (kind: string, sources: readonly DatasetSource[], packing: boolean) => {
    const data: { summary: DataSummary; shards: WrittenShard[] }[] = [];
    for (const [index, source] of sources.entries()) {
      const packLength = packing ? plan.max_length : null;
      const writer = new ShardWriter(join(run, runFiles.data), `${kind}-${index + 1}`, packLength);
      const summary = await encodeDataset(source, { ...plan, packing }, inputs, writer, report, hooks.signal);
      data.push({ summary, shards: await writer.finish() });
    }
    return data;
  };
  const files = namedFiles(plan, inputs);
  const stamps = await stampsOf(files);
  const train = await encode("train", plan.dataset, plan.packing);
  const evaluation = await encode("evaluation", plan.evaluation?.dataset ?? [], false);
  const summaries = {
    train: train.map(({ summary }) => summary),
    evaluation: evaluation.map(({ summary }) => summary),
  };
  const template = await copyTemplate(run, inputs);
  const draft = draftPlan(plan, template.inputs, summaries, thisMachine());
  const paths = [...new Set(files.map(({ path }) => path))];
  const digests = await sha256OfFiles(paths, report, hooks.signal);
  await recordSources(run, stamps, digests, conversationsOf([...summaries.train, ...summaries.evaluation]));
  const shards = [...train, ...evaluation].flatMap((data) => data.shards);
  const enginePlan: EnginePlan = {
    ...draft,
    data: train.map(({ summary, shards }) => ({
      shards: shards.map(({ path }) => path),
      weight: summary.weight,
      dropped: droppedCounts([summary]),
    })),
    evaluation: draft.evaluation && {
      shards: evaluation.flatMap((data) => data.shards.map(({ path }) => path)),
      on_start: draft.evaluation.on_start,
      every_steps: draft.evaluation.every_steps,
      batch_size: draft.evaluation.batch_size,
      dropped: droppedCounts(summaries.evaluation),
    },
    output: run,
    inputs: {
      ...Object.fromEntries(
        [...inputs.modelFiles, ...inputs.tokenizerFiles].map((path) => [path, digests[path] ?? ""]),
      ),
      ...template.digests,
      ...Object.fromEntries(shards.map(({ path, sha256 }) => [path, sha256])),
    },
  };
  const text = `${JSON.stringify(enginePlanSchema.parse(enginePlan), null, 2)}\n`;
  await writeAside(join(run, runFiles.plan), [Buffer.from(text)]);
  return [...summaries.train, ...summaries.evaluation].flatMap(warningsOf);
}

/**
 * Keeps the chat template with the run, wherever it came from. The engine puts it beside what it writes, in place of one that
 * the tokenizer carries: a model is to be asked by the template it was trained with.
 */
async function copyTemplate(
  run: string,
  inputs: TrainingInputs,
): Promise<{ inputs: TrainingInputs; digests: Record<string, string> }> {
  if (inputs.template === null) return { inputs, digests: {} };
  const path = join(run, runFiles.template);
  const digest = await writeAside(path, [Buffer.from(inputs.template.source)]);
  const others = inputs.tokenizerFiles.filter((file) => basename(file) !== runFiles.template);
  return {
    inputs: { ...inputs, tokenizerFiles: [...others, path] },
    digests: { [path]: digest },
  };
}

/** Rows that were rendered by the chat template, of each dataset. */
function conversationsOf(summaries: readonly DataSummary[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { path, conversations } of summaries) counts.set(path, (counts.get(path) ?? 0) + conversations);
  return counts;
}

/** Every file that a run is made from. */
function namedFiles(plan: TrainingPlan, inputs: TrainingInputs): NamedFile[] {
  const named = (key: string, paths: readonly (string | null)[]): NamedFile[] =>
    paths.flatMap((path) => (path === null ? [] : { key, path }));
  const map = plan.vocabulary?.map ?? null;
  return [
    ...named(
      "dataset",
      plan.dataset.map(({ path }) => path),
    ),
    ...named("eval_dataset", plan.evaluation?.dataset.map(({ path }) => path) ?? []),
    ...named("tokenizer_name_or_path", inputs.tokenizerFiles),
    ...named("chat_template_path", [inputs.templateFile]),
    ...named(
      "model_name_or_path",
      inputs.modelFiles.filter((path) => path !== map),
    ),
    ...named(
      "embedding_init_map",
      inputs.modelFiles.filter((path) => path === map),
    ),
  ];
}
