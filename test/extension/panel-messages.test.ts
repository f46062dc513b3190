import { expect, test } from "vitest";
import { panelHtml } from "../../extension/src/panel-html";
import {
  comparisonPanelOutputSchema,
  trainingPanelOutputSchema,
} from "../../language-server/src/panel-messages";

test.each([
  { type: "ready" },
  { type: "start" },
  { type: "overlay", runs: ["/runs/a"] },
  { type: "stop", run: "/runs/a" },
  { type: "save", name: "a.csv", format: "csv", base64: "YQ==" },
])("the panel may say %j", (message) => {
  expect(trainingPanelOutputSchema.safeParse(message).success).toBe(true);
});

test.each([
  undefined,
  null,
  "ready",
  {},
  { type: "eval", code: "1" },
  { type: "stop" },
  { type: "stop", run: 3 },
  { type: "overlay", runs: "/runs/a" },
  { type: "save", name: "a.exe", format: "exe", base64: "" },
])("anything else is turned away: %j", (message) => {
  expect(trainingPanelOutputSchema.safeParse(message).success).toBe(false);
});

const html = panelHtml({
  script: "https://panel/training.js",
  style: "https://panel/training.css",
  cspSource: "https://panel",
  nonce: "abc",
  title: `"><script>alert(1)</script>`,
  locale: "en",
  messages: { a: `"><img src=x onerror=alert(1)>` },
});

test("the page allows its own script and style and nothing else", () => {
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'nonce-abc'");
  expect(policy).not.toMatch(/unsafe|https?:(?!\/\/panel)|\*/);
});

test("what is put on the page cannot leave its attribute", () => {
  expect(html).not.toContain("<script>alert");
  expect(html).not.toContain("<img");
  expect(html.match(/<script/g)).toHaveLength(1);
});

test.each([
  { type: "ready" },
  { type: "specialTokens", on: true },
  { type: "moreColumns", first: 400 },
  { type: "chooseCorpus", kind: "folder" },
  { type: "saveCsv", table: "figures" },
])("the comparison panel may say %j", (message) => {
  expect(comparisonPanelOutputSchema.safeParse(message).success).toBe(true);
});

test.each([
  { type: "moreColumns", first: -1 },
  { type: "moreColumns", first: 0.5 },
  { type: "chooseCorpus", kind: "/etc" },
  { type: "saveCsv", table: "passwd" },
  { type: "compareCorpus", paths: ["/etc"] },
])("anything else of the comparison panel is turned away: %j", (message) => {
  expect(comparisonPanelOutputSchema.safeParse(message).success).toBe(false);
});
