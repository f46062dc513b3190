import { describe, expect, test } from "vitest";
import { runnableConfig } from "../../../language-server/src/rules/config-rules";
import { LineIndex } from "../../../language-server/src/text/line-index";
import { random } from "../random";
import { check, project } from "./check";

/** Whatever is typed, checking ends soon, throws nothing, and every finding lies inside the text. */
function survives(text: string): void {
  const started = performance.now();
  const findings = check(text);
  runnableConfig(text, "/p/a.ziptie.yaml", project);
  expect(performance.now() - started).toBeLessThan(10_000);
  const lines = new LineIndex(text);
  for (const { span, message, fixes } of findings) {
    expect(span.start).toBeGreaterThanOrEqual(0);
    expect(span.end).toBeGreaterThanOrEqual(span.start);
    expect(span.end).toBeLessThanOrEqual(text.length);
    expect(message.length).toBeLessThan(1000);
    for (const { edits } of fixes ?? [])
      for (const edit of edits) expect(edit.span.end).toBeLessThanOrEqual(text.length);
    lines.rangeOf(span);
  }
}

describe("a config survives", () => {
  const bomb = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"];
  for (let level = 1; level < 12; level++) {
    const before = String.fromCharCode(96 + level);
    const letter = String.fromCharCode(97 + level);
    bomb.push(`${letter}: &${letter} [${Array(9).fill(`*${before}`).join(", ")}]`);
  }
  test.each<[string, string]>([
    ["an alias bomb", bomb.join("\n")],
    ["an alias of itself", "a: &a\n  b: *a\n"],
    ["brackets without end", "[".repeat(100_000)],
    ["braces without end", "{a: ".repeat(50_000)],
    ["deep block sequences", "- ".repeat(5_000)],
    ["deep indentation", Array.from({ length: 2000 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
    ["ten thousand keys", Array.from({ length: 10_000 }, (_, index) => `key${index}: 1`).join("\n")],
    ["ten thousand equal keys", "a: 1\n".repeat(10_000)],
    ["a megabyte of one letter", "a".repeat(1_000_000)],
    ["a megabyte of colons", ": ".repeat(500_000)],
    ["a megabyte of quotes", '"'.repeat(1_000_000)],
    ["long lines of question marks", "? ".repeat(50_000)],
    ["NUL and control characters", "stage: \u0000\u0007\nmodel_name_or_path: \u0000\ndataset: a\u0000b\n"],
    ["half a surrogate pair", "stage: \ud800\ndataset: \udc00\n"],
    ["a byte order mark", "\ufeffstage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n"],
    [
      "a path that no disk takes",
      `stage: pretrain\nmodel_name_or_path: ${"x/".repeat(20_000)}\ndataset: ${"y".repeat(5000)}\n`,
    ],
    ["tags of other languages", "stage: !!python/object/apply:os.system ['true']\n"],
    ["merge keys", "base: &b { seed: 1 }\n<<: *b\nstage: pretrain\n"],
    ["keys that are collections", "? [a, b]\n: 1\n? {c: d}\n: 2\n"],
    ["directives", "%YAML 1.1\n%TAG ! tag:x,2000:\n---\nstage: pretrain\n"],
    [
      "numbers beyond reason",
      "learning_rate: 1e999\nseed: 99999999999999999999999\nmax_length: .nan\nlora_r: -.inf\n",
    ],
    ["a hundred documents", "---\na: 1\n".repeat(100)],
  ])("%s", (_, text) => survives(text));

  test("any mixture of its own pieces", () => {
    const next = random(7);
    const pieces = [
      "stage: sft\n",
      "dataset:\n",
      "  - path: a\n",
      "- ",
      "  ",
      "\t",
      ": ",
      "{",
      "}",
      "[",
      "]",
      "&a ",
      "*a",
      "|\n",
      ">-\n",
      '"',
      "'",
      "#",
      "\n",
      "\r\n",
      "---\n",
      "...\n",
      "!!str ",
      "lora_r: 8\n",
      "rules: { x: off }\n",
      "null",
      "~",
      "😀",
      "中",
      "model:\n  hidden_size: 8\n",
      "<<: *a\n",
      "? ",
      ", ",
      "%YAML 1.2\n",
    ];
    for (let round = 0; round < 400; round++) {
      let text = "";
      for (let count = next(30); count >= 0; count--) text += pieces[next(pieces.length)];
      survives(text);
    }
  });

  test("being cut off anywhere", () => {
    const whole =
      'stage: sft\nmodel_name_or_path: base\ndataset:\n  - { path: "chat.jsonl", weight: 1.5 }\nrules: { unknown-key: off }\n';
    for (let length = 0; length <= whole.length; length++) survives(whole.slice(0, length));
  });
});
