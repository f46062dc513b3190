import { expect, test } from "vitest";
import { isExportable, whyNotExportable } from "../../extension/src/runs/run-states";
import type { RunSummary } from "../../language-server/src/protocol";
import { summary } from "../webviews/training/sample-runs";

const t = (message: string, ...args: (string | number)[]) =>
  message.replace(/\{(\d+)\}/g, (_, index) => String(args[index]));

test("a run that has written an adapter is exported", () => {
  const finished = summary("sft-3", { state: "finished", exportable: true });
  expect([isExportable(finished), whyNotExportable(finished, t)]).toEqual([true, undefined]);
});

test.each<[string, Partial<RunSummary>, RegExp]>([
  ["goes on", { state: "running", resumable: false }, /yet: it is written after the last step/],
  ["was stopped", { state: "stopped", resumable: true }, /Resume the run/],
  ["trained every weight", { state: "finished", resumable: false }, /its model is in .*\/model\.$/],
  ["failed early", { state: "failed", resumable: false }, /has no adapter to export\.$/],
])("a run that %s is not, and what to do is said", (_, change, why) => {
  const run = summary("sft-3", { checkpoint: 100, ...change });
  expect(isExportable(run)).toBe(false);
  expect(whyNotExportable(run, t)).toMatch(why);
});
