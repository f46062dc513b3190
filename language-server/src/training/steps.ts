import type { TrainingPlan } from "../configs/training-plan";

/** What decides how many optimizer steps a run has. */
type Batching = Pick<
  TrainingPlan,
  "per_device_train_batch_size" | "gradient_accumulation_steps" | "duration"
>;

/**
 * Optimizer steps of one pass over the data; seldom a whole number. The engine's steps all have the same number of rows: where an
 * epoch ends within a step, the next one's first rows fill it up. (HF's Trainer ends each epoch with a smaller step instead, so it
 * counts up to one step an epoch more.)
 * @param rows of one epoch, after dropping and weighting
 */
export function stepsPerEpoch(rows: number, batching: Batching): number {
  return rows / (batching.per_device_train_batch_size * batching.gradient_accumulation_steps);
}

/** Optimizer steps of the whole run: as many as it takes to see every row `num_train_epochs` times. */
export function totalSteps(rows: number, batching: Batching): number {
  if ("steps" in batching.duration) return batching.duration.steps;
  // 0.1 · 30 is a hair more than 3, which must not make a fourth step.
  const steps = batching.duration.epochs * stepsPerEpoch(rows, batching);
  return Math.max(1, Math.ceil(steps - 1e-9 * steps));
}
