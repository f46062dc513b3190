import { z } from "zod";

/**
 * `events.jsonl`: what the engine says about a run, one JSON object a line, append-only.
 * The C++ writer is `native/engine/train/events.cpp`; both are documented in `native/README.md`.
 * Unknown fields are kept out, unknown events are skipped, so an older window can read a newer engine.
 */

const time = z.string();

/**
 * What became of rows: used (of these, some cut), or dropped, be it before there were shards or by the engine, for a reason each
 * (`DropReason`). `packs` is 0 where rows are not packed.
 */
const rows = z.object({
  used: z.number(),
  cut: z.number(),
  too_long: z.number(),
  unsupervised: z.number(),
  broken: z.number(),
  template: z.number(),
  tokenizer: z.number(),
  packs: z.number(),
});

/** A run begins or is resumed. When `resumed_from` is present, points after that step belong to an abandoned branch. */
const runStarted = z.object({
  event: z.literal("run_started"),
  time,
  /** What computes and why, e.g. `cpu: 2 threads (no CUDA plugin)`. */
  device: z.string(),
  parameters: z.number(),
  trainable_parameters: z.number(),
  /** Optimizer steps of the whole run. */
  steps: z.number(),
  /** Of all training data sets; absent in runs of engines that said it otherwise. */
  rows: rows.optional().catch(undefined),
  /** Of all evaluation data sets; absent, too, in runs without. */
  evaluation_rows: rows.optional().catch(undefined),
  resumed_from: z.number().optional(),
  pid: z.number().optional(),
});

/** One optimizer step. `step` counts from 1. */
const step = z.object({
  event: z.literal("step"),
  time,
  step: z.number(),
  /** Passes over the training data, fractional. */
  epoch: z.number(),
  /** Mean negative log-likelihood per supervised token of the step; null when not finite. */
  loss: z.number().nullable(),
  learning_rate: z.number(),
  /** L2 norm of the gradient before clipping; null when not finite. */
  grad_norm: z.number().nullable(),
  /** Tokens of this step, all micro-batches. */
  tokens: z.number(),
  supervised_tokens: z.number(),
  tokens_per_second: z.number(),
  /** Peak resident bytes of the engine so far. */
  memory_bytes: z.number(),
  /** Wall time of this step. */
  seconds: z.number(),
});

const evaluation = z.object({
  event: z.literal("evaluation"),
  time,
  /** Steps done when it was measured; 0 before the first. */
  step: z.number(),
  /** Mean negative log-likelihood per supervised token over the whole evaluation set. */
  loss: z.number().nullable(),
  tokens: z.number(),
});

const checkpoint = z.object({ event: z.literal("checkpoint"), time, step: z.number(), path: z.string() });

const warning = z.object({
  event: z.literal("warning"),
  time,
  message: z.string(),
  step: z.number().optional(),
});

/** The last line of a run that ended by itself (`finished`) or on request (`stopped`). */
const runFinished = z.object({
  event: z.literal("run_finished"),
  time,
  state: z.enum(["finished", "stopped"]),
  step: z.number(),
  loss: z.number().nullable().optional(),
  evaluation_loss: z.number().nullable().optional(),
  /** Absolute path of what was trained: an HF model directory or a PEFT adapter directory. */
  output: z.string().optional(),
});

/** The last line of a run that failed. `reason` says what, where and what to do. */
const runFailed = z.object({
  event: z.literal("run_failed"),
  time,
  reason: z.string(),
  step: z.number().optional(),
  /** Last complete checkpoint, if any. */
  checkpoint: z.string().optional(),
});

export const runEventSchema = z.discriminatedUnion("event", [
  runStarted,
  step,
  evaluation,
  checkpoint,
  warning,
  runFinished,
  runFailed,
]);

export type RunEvent = z.infer<typeof runEventSchema>;
export type StepEvent = z.infer<typeof step>;
export type EvaluationEvent = z.infer<typeof evaluation>;
