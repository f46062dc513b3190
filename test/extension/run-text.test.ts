import { describe, expect, test } from "vitest";
import { formatsFor } from "../../extension/src/format";
import { runDescription, runTooltip, statusBarText } from "../../extension/src/runs/run-text";
import { summary } from "../webviews/training/sample-runs";

const formats = formatsFor("en");
const t = (message: string, ...args: (string | number)[]) =>
  message.replace(/\{(\d+)\}/g, (_, index) => String(args[index]));
const ended = { eta_seconds: undefined };

describe("durations", () => {
  test.each([
    [0, "0s"],
    [59.6, "1m"],
    [61, "1m 1s"],
    [754, "12m"],
    [12_720, "3h 32m"],
    [7200, "2h"],
    [200_000, "2d 7h"],
    [-5, "0s"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(formats.duration(seconds)).toBe(text);
  });

  test("are written in the locale's words", () => {
    expect(formatsFor("zh-TW").duration(12_720)).toMatch(/3.*時.*32.*分/);
  });
});

test.each([
  [512, "512 B"],
  [11_200_000_000, "11.2 GB"],
  [1_500, "1.5 KB"],
])("%d bytes are %s", (bytes, text) => {
  expect(formats.bytes(bytes)).toBe(text);
});

test.each([
  [1e-4, "1e-4"],
  [9.76e-5, "9.76e-5"],
  [0.02, "0.02"],
  [0, "0"],
])("the learning rate %d is %s", (rate, text) => {
  expect(formats.learningRate(rate)).toBe(text);
});

describe("a run in the tree", () => {
  test.each([
    [summary("a"), "412/3,120 · loss 1.832 · 3h 32m left"],
    [summary("a", { state: "preparing", step: 0, steps: 0, loss: null, ...ended }), "preparing data"],
    [summary("a", { state: "finished", step: 3120, ...ended }), "3,120/3,120 · loss 1.832"],
    [summary("a", { state: "failed", ...ended }), "failed · 412/3,120 · loss 1.832"],
    [summary("a", { state: "stopped", step: 0, loss: null, ...ended }), "stopped"],
  ])("%# says where it is", (run, text) => {
    expect(runDescription(run, formats, t)).toBe(text);
  });
});

describe("the status bar", () => {
  test("is silent while nothing trains", () => {
    expect(statusBarText([], formats, t)).toBeUndefined();
  });

  test("shows the newest run and how many more there are", () => {
    const runs = [summary("sft-3"), summary("sft-2")];
    expect(statusBarText(runs, formats, t)).toBe("$(pulse) sft-3 412/3,120 loss 1.832 +1");
  });
});

test("a tooltip shows names as they are, not as Markdown", () => {
  const run = summary("my_run*1", { state: "failed", reason: "no <file> `a`", ...ended });
  const text = runTooltip(run, formats, t, "en");
  expect(text).toContain("**my\\_run\\*1** — failed");
  expect(text).toContain("no \\<file\\> \\`a\\`");
});
