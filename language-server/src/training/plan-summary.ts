import { intervalInSteps, type TrainingPlan, warmupInSteps } from "../configs/training-plan";
import type { PlanSummary } from "../protocol";
import { largestBatch, largestEvaluationBatch } from "./batch-shape";
import { type DataSummary, warningsOf } from "./data-summary";
import type { EnginePlan } from "./engine-plan";
import type { TrainingInputs } from "./inputs";
import type { Machine } from "./machine";
import { estimateMemory, type MemoryEstimate, totalBytes } from "./memory-estimate";
import { adapterParameters, baseParameters, elements, isOfEmbedding, trainedParameters } from "./parameters";
import { Refused } from "./refused";
import { stepsPerEpoch, totalSteps } from "./steps";

/** The engine's plan but for what only a prepared run has: shards, hashes and the run directory. */
export type DraftPlan = Omit<EnginePlan, "data" | "evaluation" | "inputs" | "output"> & {
  data: { path: string; weight: number }[];
  evaluation: { paths: string[]; on_start: boolean; every_steps: number | null; batch_size: number } | null;
};

export interface TokenisedData {
  train: DataSummary[];
  evaluation: DataSummary[];
}

/**
 * Rows of one epoch, or packs when rows are packed, as the engine's sampler counts: a data set of weight w contributes w times
 * its own, rounded, at least one.
 */
export function unitsPerEpoch(data: readonly DataSummary[]): number {
  return data.reduce(
    (sum, { weight, packs }) => sum + (packs > 0 ? Math.max(1, Math.round(weight * packs)) : 0),
    0,
  );
}

/** @throws Refused when there is nothing to train on, or to evaluate on */
export function draftPlan(
  plan: TrainingPlan,
  inputs: TrainingInputs,
  data: TokenisedData,
  machine: Machine,
): DraftPlan {
  for (const [what, summaries] of [
    ["train", data.train],
    ["evaluate", data.evaluation],
  ] as const) {
    if (summaries.length > 0 && unitsPerEpoch(summaries) === 0) {
      const reasons = summaries.flatMap(warningsOf);
      throw new Refused(`There is no row to ${what} on. ${reasons.join(" ") || "The dataset is empty."}`);
    }
  }
  const units = unitsPerEpoch(data.train);
  const perEpoch = stepsPerEpoch(units, plan);
  const steps = totalSteps(units, plan);
  const inSteps = (interval: Parameters<typeof intervalInSteps>[0] | null) =>
    interval === null ? null : intervalInSteps(interval, steps, perEpoch);
  return {
    version: 1,
    stage: plan.stage,
    model: inputs.model,
    tokenizer_files: inputs.tokenizerFiles,
    data: data.train.map(({ path, weight }) => ({ path, weight })),
    evaluation: plan.evaluation && {
      paths: data.evaluation.map(({ path }) => path),
      on_start: plan.evaluation.on_start,
      every_steps: inSteps(plan.evaluation.interval),
      batch_size: plan.evaluation.batch_size,
    },
    adapter: inputs.adapter,
    quantization: plan.quantization,
    frozen_dtype: frozenDtype(plan, inputs),
    recompute: plan.recompute === "auto" ? leastRecompute(plan, inputs, data, machine) : plan.recompute,
    optimizer: { ...plan.optimizer, betas: [...plan.optimizer.betas] },
    schedule: {
      name: plan.schedule.name,
      warmup_steps: warmupInSteps(plan.schedule.warmup, steps),
      min_lr_rate: plan.schedule.min_lr_rate,
      steps,
    },
    batching: {
      per_device_train_batch_size: plan.per_device_train_batch_size,
      gradient_accumulation_steps: plan.gradient_accumulation_steps,
      max_length: plan.max_length,
      truncation: plan.truncation,
      shuffle: true,
      group_by_length: plan.group_by_length,
      packing: plan.packing,
    },
    checkpointing: {
      save_steps: inSteps(plan.checkpointing.interval),
      save_total_limit: plan.checkpointing.save_total_limit,
    },
    logging_steps: plan.logging_steps,
    device: plan.device,
    threads: plan.threads,
    seed: plan.seed,
  };
}

/** How frozen weights are kept; without an adapter none is frozen. */
function frozenDtype(plan: TrainingPlan, inputs: TrainingInputs): EnginePlan["frozen_dtype"] {
  if (inputs.adapter === null) return "float32";
  return plan.frozen_dtype === "auto" ? inputs.stored.dtype : plan.frozen_dtype;
}

/** The least recomputation with which the run fits the machine's memory; all there is when none does. */
function leastRecompute(
  plan: TrainingPlan,
  inputs: TrainingInputs,
  data: TokenisedData,
  machine: Machine,
): EnginePlan["recompute"] {
  const modes = ["none", "selective", "full"] as const;
  const fits = (recompute: EnginePlan["recompute"]) =>
    totalBytes(memoryOf(plan, inputs, data, recompute, machine)) <= usableShare * machine.memory;
  return modes.find(fits) ?? "full";
}

/** The rest is the system's and other programs'. */
const usableShare = 0.8;

function memoryOf(
  plan: TrainingPlan,
  inputs: TrainingInputs,
  data: TokenisedData,
  recompute: EnginePlan["recompute"],
  { threads }: Machine,
): MemoryEstimate {
  const { adapter, shape } = inputs;
  const { per_device_train_batch_size: size, gradient_accumulation_steps: accumulation } = plan;
  const batches = totalSteps(unitsPerEpoch(data.train), plan) * accumulation;
  const mode = {
    adapter,
    dropout: (adapter?.dropout ?? 0) > 0,
    quantization: plan.quantization,
    frozen_dtype: frozenDtype(plan, inputs),
    recompute,
    optimizer: plan.optimizer.name,
    threads: plan.threads ?? threads,
  };
  return estimateMemory(
    shape,
    mode,
    largestBatch(data.train, { ...plan, size, batches }),
    plan.evaluation && data.evaluation.length > 0
      ? largestEvaluationBatch(data.evaluation, plan.evaluation.batch_size)
      : null,
    inputs.stored,
  );
}

/** What a config would do, in the words of `ziptie plan`. @throws Refused as `draftPlan` does */
export function summarisePlan(
  plan: TrainingPlan,
  inputs: TrainingInputs,
  data: TokenisedData,
  machine: Machine,
): PlanSummary {
  const draft = draftPlan(plan, inputs, data, machine);
  const base = baseParameters(inputs.shape);
  const adapter = inputs.adapter === null ? [] : adapterParameters(inputs.shape, inputs.adapter);
  const trained = trainedParameters(inputs.shape, inputs.adapter);
  const sum = (of: (summary: DataSummary) => number) =>
    data.train.reduce((total, each) => total + of(each), 0);
  const tokens = sum(({ tokens, weight }) => tokens * weight);
  const memory = memoryOf(plan, inputs, data, draft.recompute, machine);
  return {
    config: plan.config,
    stage: plan.stage,
    steps: draft.schedule.steps,
    steps_per_epoch: stepsPerEpoch(unitsPerEpoch(data.train), plan),
    tokens_per_epoch: Math.round(tokens),
    supervised_share: tokens > 0 ? sum((each) => each.supervised_tokens * each.weight) / tokens : 0,
    rows: sum((each) => each.rows),
    rows_dropped: sum((each) => each.rows - each.rows_used),
    rows_cut: sum((each) => each.rows_cut),
    ...(plan.packing ? { packs: sum((each) => each.packs) } : {}),
    recompute: draft.recompute,
    dropped: [...data.train, ...data.evaluation].flatMap(({ path, dropped }) =>
      dropped.map((rows) => ({ path, ...rows })),
    ),
    memory_bytes: totalBytes(memory),
    memory,
    trainable_parameters: elements(trained),
    parameters: elements(base) + elements(adapter),
    trainable: trained.map(({ name, shape }) => ({
      name,
      shape,
      learning_rate:
        (isOfEmbedding(name) ? plan.optimizer.embedding_learning_rate : null) ?? plan.optimizer.learning_rate,
    })),
    output_dir: plan.output_dir,
    warnings: [
      ...[...data.train, ...data.evaluation].flatMap(warningsOf),
      ...memoryWarnings(totalBytes(memory), machine),
    ],
    plan: draft,
  };
}

function memoryWarnings(needed: number, { memory }: Machine): string[] {
  if (needed <= memory) return [];
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  return [
    `This run needs about ${gigabytes(needed)} of memory, and this machine has ${gigabytes(memory)}. A smaller per_device_train_batch_size or max_length, load_in_4bit, or an adapter instead of every weight needs less.`,
  ];
}
