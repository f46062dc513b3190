import { describe, expect, test } from "vitest";
import { runnableConfig } from "../../../language-server/src/rules/config-rules";
import { toDiagnostics } from "../../../language-server/src/rules/diagnostics";
import type { RuleSeverities } from "../../../language-server/src/rules/severity";
import { LineIndex } from "../../../language-server/src/text/line-index";
import { check, project } from "../configs/check";

const config = "stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n";

function diagnose(text: string, severities: RuleSeverities = {}): [string, number][] {
  return toDiagnostics(check(text), new LineIndex(text), severities).map(({ code, severity }) => [
    String(code),
    severity ?? 0,
  ]);
}

describe("severities", () => {
  test("are the rule's own unless changed", () => {
    expect(diagnose(`${config}sede: 1\n`)).toEqual([["unknown-key", 1]]);
    expect(diagnose(`${config}sede: 1\n`, { "unknown-key": "information" })).toEqual([["unknown-key", 3]]);
    expect(diagnose(`${config}sede: 1\n`, { "unknown-key": "off" })).toEqual([]);
  });
});

describe("a line is silenced", () => {
  test("by a comment on it", () => {
    expect(diagnose(`${config}sede: 1 # ziptie-ignore unknown-key\n`)).toEqual([]);
    expect(diagnose(`${config}sede: 1 # ziptie-ignore unknown-value\n`)).toEqual([["unknown-key", 1]]);
    expect(diagnose(`${config}sede: 1 # ziptie-ignore\n`)).toEqual([]);
    expect(diagnose(`${config}sede: 1 # ziptie-ignore unknown-value, unknown-key\n`)).toEqual([]);
  });
  test("by a comment alone above it, and only that line", () => {
    expect(diagnose(`${config}# ziptie-ignore unknown-key\nsede: 1\nsedde: 2\n`)).toEqual([
      ["unknown-key", 1],
    ]);
  });
});

test("diagnostics come in the document's order and carry their repairs", () => {
  const text = `${config}max_lenth: 0\nlearning_rte: 1\n`;
  const diagnostics = toDiagnostics(check(text), new LineIndex(text), {});
  expect(diagnostics.map(({ range }) => range.start.line)).toEqual([3, 4]);
  expect(diagnostics[0]?.data).toMatchObject({
    fixes: [
      { title: "Replace with `max_length`", edits: [{ newText: "max_length" }] },
      { title: "Remove `max_lenth`" },
    ],
  });
});

describe("whether a config can be run", () => {
  const run = (text: string, severities: RuleSeverities = {}) =>
    runnableConfig(text, "/p/a.ziptie.yaml", project, severities);

  test("its plan, when nothing is in the way", () => {
    expect(run(config)).toMatchObject({ plan: { name: "a", stage: "pretrain", max_length: 1024 } });
  });
  test("the first error in the text, and where it stands", () => {
    expect(run(`${config}sede: 1\nmax_length: 0\n`)).toEqual({
      refused: "Ziptie has no key `sede`. Did you mean `seed`?",
      range: { start: { line: 3, character: 0 }, end: { line: 3, character: 4 } },
    });
  });
  test("not in the way: what its own rules, the settings or a comment make less than an error", () => {
    expect(run(`${config}sede: 1\nrules: { unknown-key: warning }\n`)).toHaveProperty("plan");
    expect(run(`${config}sede: 1\n`, { "unknown-key": "hint" })).toHaveProperty("plan");
    expect(run(`${config}sede: 1 # ziptie-ignore unknown-key\n`)).toHaveProperty("plan");
  });
  test("what the engine cannot carry out is refused whatever its severity", () => {
    const refused = {
      refused: "The engine cannot carry out `device: cuda` yet; `auto` and `cpu` run.",
    };
    expect(run(`${config}device: cuda # ziptie-ignore\n`)).toMatchObject(refused);
    expect(run(`${config}device: cuda\nrules: { not-yet-runnable: off }\n`)).toMatchObject(refused);
  });
  test("a value that makes no sense is refused whatever its severity", () => {
    expect(run(`${config}max_length: 0\nrules: { value-out-of-range: off }\n`)).toHaveProperty("refused");
  });
});
