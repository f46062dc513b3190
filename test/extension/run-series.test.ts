import { describe, expect, test } from "vitest";
import {
  emptySeries,
  lengthsOf,
  pointsSince,
  RunSeriesBuilder,
} from "../../extension/src/training/run-series";
import type { RunEvent } from "../../language-server/src/protocol";

const time = "2025-03-01T09:00:00.000Z";
const step = (number: number, loss: number | null = 5 - number / 10): RunEvent => ({
  event: "step",
  time,
  step: number,
  epoch: number / 10,
  loss,
  learning_rate: 1e-4,
  grad_norm: loss === null ? null : 0.5,
  tokens: 512,
  supervised_tokens: 256,
  tokens_per_second: 1000,
  memory_bytes: 1e9,
  seconds: 0.5,
});
const evaluation = (number: number): RunEvent => ({
  event: "evaluation",
  time,
  step: number,
  loss: 4,
  tokens: 100,
});
const checkpoint = (number: number): RunEvent => ({
  event: "checkpoint",
  time,
  step: number,
  path: `checkpoints/step-${number}`,
});
const started = (resumed_from?: number): RunEvent => ({
  event: "run_started",
  time,
  device: "cpu",
  parameters: 1000,
  trainable_parameters: 10,
  steps: 20,
  ...(resumed_from === undefined ? {} : { resumed_from }),
});

function built(...events: RunEvent[]): RunSeriesBuilder {
  const builder = new RunSeriesBuilder();
  builder.add(events);
  return builder;
}

test("events become columns of equal length", () => {
  const { series } = built(started(), evaluation(0), step(1), step(2), checkpoint(2), evaluation(2));
  expect(series).toEqual({
    step: [1, 2],
    loss: [4.9, 4.8],
    learning_rate: [1e-4, 1e-4],
    grad_norm: [0.5, 0.5],
    tokens_per_second: [1000, 1000],
    memory_bytes: [1e9, 1e9],
    evaluation_step: [0, 2],
    evaluation_loss: [4, 4],
    checkpoint_step: [2],
  });
});

test("a loss that is not finite is null", () => {
  expect(built(step(1, null), step(2, Number.NaN)).series.loss).toEqual([null, null]);
});

test("warnings and ends leave the charts alone", () => {
  const builder = new RunSeriesBuilder();
  builder.add([step(1)]);
  const { rewound } = builder.add([
    { event: "warning", time, message: "slow disk" },
    { event: "run_finished", time, state: "finished", step: 1 },
  ]);
  expect(rewound).toBe(false);
  expect(lengthsOf(builder.series)).toEqual({ steps: 1, evaluations: 0, checkpoints: 0 });
});

describe("a resumed run", () => {
  const before = [started(), step(1), step(2), checkpoint(2), step(3), evaluation(3), step(4), checkpoint(4)];

  test("forgets what came after its checkpoint", () => {
    const builder = built(...before);
    expect(builder.add([started(2)])).toEqual({ rewound: true });
    expect(builder.series.step).toEqual([1, 2]);
    expect(builder.series.loss).toHaveLength(2);
    expect(builder.series.evaluation_step).toEqual([]);
    expect(builder.series.checkpoint_step).toEqual([2]);
  });

  test("has each step once, with the loss of the branch that was kept", () => {
    const { series } = built(...before, started(2), step(3, 1.5), step(4, 1.25), step(5, 1));
    expect(series.step).toEqual([1, 2, 3, 4, 5]);
    expect(series.loss.slice(2)).toEqual([1.5, 1.25, 1]);
  });

  test("that begins again forgets what was measured before its first step, too", () => {
    const builder = built(started(), evaluation(0), step(1));
    expect(builder.add([started(0)])).toEqual({ rewound: true });
    expect(builder.series).toEqual(emptySeries());
  });

  test("that goes on keeps what was measured before its first step", () => {
    expect(built(started(), evaluation(0), ...before.slice(1), started(2)).series.evaluation_step).toEqual([
      0,
    ]);
  });

  test("from its very last step takes nothing back", () => {
    expect(built(...before).add([started(4)])).toEqual({ rewound: false });
  });

  test("that repeats steps without saying so replaces them all the same", () => {
    const builder = built(...before);
    expect(builder.add([step(3, 1)])).toEqual({ rewound: true });
    expect(builder.series.step).toEqual([1, 2, 3]);
  });
});

test("what a copy lacks is what came after its length", () => {
  const builder = built(step(1), evaluation(1));
  const had = lengthsOf(builder.series);
  builder.add([step(2), step(3), checkpoint(3)]);
  expect(pointsSince(builder.series, had)).toMatchObject({
    step: [2, 3],
    loss: [4.8, 4.7],
    evaluation_step: [],
    checkpoint_step: [3],
  });
});
