import { expect, test } from "vitest";
import { panelState } from "../../../webviews/src/training/panel-state";
import { initialState, readState } from "../../../webviews/src/training/saved-state";
import { summary } from "./sample-runs";

test("what was saved is read back", () => {
  const saved = { primary: "/runs/a", overlay: ["/runs/b"], view: [1, 9], smoothing: 0.5, logarithmic: true };
  expect(readState(saved)).toEqual(saved);
});

test.each([
  undefined,
  null,
  7,
  "text",
  { primary: 3, overlay: "a", view: [9, 1], smoothing: 4, logarithmic: "yes" },
  { view: [0, Number.NaN], overlay: null },
])("anything else falls back to the initial state: %j", (value) => {
  expect(readState(value)).toEqual(initialState);
});

test.each([
  [{ answered: false }, "loading"],
  [{ failure: "gone" }, "failed"],
  [{}, "empty"],
  [{ summary: summary("a", { state: "preparing" }), isEmpty: true }, "waiting"],
  [{ summary: summary("a", { state: "running" }), isEmpty: true }, "waiting"],
  [{ summary: summary("a", { state: "running" }) }, "live"],
  [{ summary: summary("a", { state: "finished" }) }, "ended"],
  [{ summary: summary("a", { state: "stopped" }) }, "ended"],
  [{ summary: summary("a", { state: "interrupted" }) }, "ended"],
  [{ summary: summary("a", { state: "failed" }) }, "failed"],
] as const)("%j is the state %s", (input, expected) => {
  expect(
    panelState({ answered: true, failure: undefined, summary: undefined, isEmpty: false, ...input }),
  ).toBe(expected);
});
