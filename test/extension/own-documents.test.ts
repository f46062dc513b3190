import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { looksLikeRows } from "../../extension/src/own-documents";

vi.mock("vscode", () => ({}));

test.each([
  '[{"messages": [{"role": "user", "content": "hi"}]}]',
  '[\n  {\n    "id": 1,\n    "instruction": "add",\n    "output": "1"\n  }\n]',
  '{"conversations": []}\n{"conversations": []}\n',
  ' [ { "chosen" : "a", "rejected": "b" } ]',
])("a JSON file with rows is worth a server: %s", (head) => {
  expect(looksLikeRows(head)).toBe(true);
});

test.each([
  "",
  "[]",
  '[1, 2, {"text": "x"}]',
  '{\n  "name": "ziptie",\n  "text": "x"\n}',
  '{ "compilerOptions": { "strict": true } }',
])("any other JSON file is not: %s", (head) => {
  expect(looksLikeRows(head)).toBe(false);
});

test("no JSON file wakes the extension, but a folder of datasets does", () => {
  const { activationEvents } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(activationEvents).not.toContain("onLanguage:json");
  expect(activationEvents).toContain("workspaceContains:**/dataset_info.json");
});
