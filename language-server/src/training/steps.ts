import type { TrainingPlan } from "../configs/training-plan";

/** What decides how many optimizer steps a run has. */
type Batching = Pick<
  TrainingPlan,
  "per_device_train_batch_size" | "gradient_accumulation_steps" | "duration"
>;

/**
 * Optimizer steps of one pass over the data, by the convention of HF's Trainer (`dataloader_drop_last: false`): the last
 * batch of an epoch may be smaller, and the last step of an epoch may have fewer batches.
 * @param rows of one epoch, after dropping and weighting
 */
export function stepsPerEpoch(rows: number, batching: Batching): number {
  const batches = Math.ceil(rows / batching.per_device_train_batch_size);
  return Math.max(1, Math.ceil(batches / batching.gradient_accumulation_steps));
}

/** Optimizer steps of the whole run; a fractional last epoch is rounded up to a whole step, as HF's Trainer does. */
export function totalSteps(rows: number, batching: Batching): number {
  return "steps" in batching.duration
    ? batching.duration.steps
    : Math.ceil(batching.duration.epochs * stepsPerEpoch(rows, batching));
}
