import { expect, test } from "vitest";
import { warmupInSteps } from "../../../language-server/src/configs/training-plan";
import { stepsPerEpoch, totalSteps } from "../../../language-server/src/training/steps";

const batching = (batch: number, accumulation: number, duration: { steps: number } | { epochs: number }) => ({
  per_device_train_batch_size: batch,
  gradient_accumulation_steps: accumulation,
  duration,
});

test("a run has as many steps as it takes to see every row so many times", () => {
  expect(totalSteps(100, batching(4, 1, { epochs: 3 }))).toBe(75);
  expect(totalSteps(101, batching(4, 1, { epochs: 3 }))).toBe(76);
  expect(totalSteps(101, batching(4, 8, { epochs: 1 }))).toBe(4);
  expect(totalSteps(3, batching(64, 16, { epochs: 1 }))).toBe(1);
});

test("epochs may be a fraction, without a step too many for its rounding", () => {
  expect(totalSteps(30, batching(1, 1, { epochs: 0.1 }))).toBe(3);
  expect(totalSteps(30, batching(1, 1, { epochs: 0.11 }))).toBe(4);
  expect(stepsPerEpoch(30, batching(4, 2, { epochs: 1 }))).toBe(3.75);
});

test("max_steps says it all", () => {
  expect(totalSteps(10, batching(4, 1, { steps: 1000 }))).toBe(1000);
});

test("a warm-up ratio is rounded up, as in HF's Trainer", () => {
  expect(warmupInSteps({ ratio: 0.03 }, 280)).toBe(9);
});
