import { beforeAll, expect, test, vi } from "vitest";

type Formats = typeof import("../../../webviews/src/training/format");
let format: Formats;
beforeAll(async () => {
  // The page's language and messages come from the page itself.
  vi.stubGlobal("document", { body: { dataset: {} }, documentElement: { lang: "en" } });
  format = await import("../../../webviews/src/training/format");
  return () => vi.unstubAllGlobals();
});

test.each([
  [[1, 2, 3], "plain", ["1", "2", "3"]],
  [[2, 2.25, 2.5], "plain", ["2", "2.25", "2.5"]],
  [[7.625, 7.63, 7.635], "plain", ["7.625", "7.63", "7.635"]],
  [[15_750, 16_000, 16_250], "compact", ["15.75K", "16K", "16.25K"]],
  [[0, 5e-5, 1e-4], "exponential", ["0", "5e-5", "1e-4"]],
  [[9.98e-5, 9.99e-5, 1e-4], "exponential", ["9.98e-5", "9.99e-5", "1e-4"]],
  [[1e30, 2e30], "exponential", ["1e30", "2e30"]],
  [[9e9, 10e9, 11e9], "bytes", ["9 GB", "10 GB", "11 GB"]],
  [[11e9, 11.1e9], "bytes", ["11 GB", "11.1 GB"]],
  [[], "plain", []],
] as const)("an axis writes %j as numbers that differ", (values, notation, texts) => {
  expect(format.formatAxis(values, notation)).toEqual(texts);
});

test.each([
  [9.76e-5, "9.76e-5"],
  [1e-4, "1e-4"],
  [1e30, "1e30"],
  [0.05, "0.05"],
  [0, "0"],
  [Number.NaN, "–"],
])("the learning rate %d is %s", (value, text) => {
  expect(format.formatLearningRate(value)).toBe(text);
});

test.each([
  [45, "45 sec"],
  [95, "1 min 35 sec"],
  [1200, "20 min"],
  [12_720, "3 hr 32 min"],
  [90_000, "1 day 1 hr"],
])("%d seconds are %s", (seconds, text) => {
  expect(format.formatDuration(seconds)).toBe(text);
});

test("counts are grouped and what is missing is a dash", () => {
  expect(format.formatCount(3120)).toBe("3,120");
  expect(format.formatLoss(1.8)).toBe("1.800");
  expect(format.formatLoss(Number.NaN)).toBe("–");
  expect(format.formatRate(134_004)).toBe("134,004");
  expect(format.formatBytes(11.2e9)).toBe("11.2 GB");
});
