import { expect, test } from "vitest";
import { Smoother, SpikeDetector } from "../../../webviews/src/training/loss-statistics";

const smooth = (factor: number, values: number[]) => {
  const smoother = new Smoother(factor);
  return values.map((value) => smoother.next(value));
};

test("without smoothing the values stay as they are", () => {
  expect(smooth(0, [3, 1, 2])).toEqual([3, 1, 2]);
});

test("the first point is not pulled to zero and a constant stays one", () => {
  for (const value of smooth(0.99, [5, 5, 5])) expect(value).toBeCloseTo(5, 12);
});

test("the average is the weighted mean of everything so far", () => {
  // β = 1/2: weights 1/2, 1/4, 1/8 from the newest, divided by their sum.
  expect(smooth(0.5, [1, 2, 4]).at(-1)).toBeCloseTo((4 / 2 + 2 / 4 + 1 / 8) / (7 / 8), 12);
});

test("a missing value is a gap and leaves the average alone", () => {
  const [first, gap, last] = smooth(0.5, [2, Number.NaN, 2]);
  expect([first, gap, last]).toEqual([2, Number.NaN, 2]);
});

const spikes = (values: number[]) => {
  const detector = new SpikeDetector();
  return values.flatMap((value, index) => (detector.isSpike(value) ? [index] : []));
};
const falling = Array.from(
  { length: 300 },
  (_, index) => 2 + 2 * Math.exp(-index / 60) + 0.1 * Math.sin(index * 12.9),
);

test("an ordinary noisy loss has no spikes", () => {
  expect(spikes(falling)).toEqual([]);
});

test("a single loss far above the others is a spike, and so is the next one", () => {
  const values = [...falling];
  values[150] = 6;
  values[200] = 7;
  expect(spikes(values)).toEqual([150, 200]);
});

test("a loss that jumps and stays up is in the end the new level", () => {
  const values = falling.map((value, index) => (index >= 150 ? value + 4 : value));
  const found = spikes(values);
  expect(found[0]).toBe(150);
  expect(found.at(-1)).toBeLessThan(250);
});
