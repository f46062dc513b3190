import { describe, expect, it } from "vitest";
import { RowReader } from "../../../language-server/src/documents/json-rows";
import { plainValue } from "../../../language-server/src/documents/json-tree";
import type { Finding } from "../../../language-server/src/text/span";
import { annotated, applyFix, checkAnnotated, parseAnnotated } from "../annotated";
import { random } from "../random";

const findingsOf = (text: string): Finding[] => {
  const reader = new RowReader(text);
  return [...reader.findings, ...[...reader.rows()].flatMap(({ findings }) => findings)];
};
const valuesOf = (text: string): unknown[] =>
  [...new RowReader(text).rows()].flatMap(({ kind, node }) =>
    kind === "row" ? [node && plainValue(node)] : [],
  );
const onlyFinding = (text: string): Finding => {
  const [finding, ...more] = findingsOf(text);
  expect(more).toEqual([]);
  if (!finding) throw new Error("No finding.");
  return finding;
};

describe("rows", () => {
  it.each([
    ["lines", '{"a": 1}\n{"b": [true, null]}\n'],
    ["lines ending in CRLF", '{"a": 1}\r\n{"b": [true, null]}'],
    ["lines ending in CR", '{"a": 1}\r{"b": [true, null]}\r'],
    ["an array", '[{"a": 1},{"b": [true, null]}]'],
    ["an array over lines", '\n[\n  {\n    "a": 1\n  },\n  {"b": [true,\r\n null]}\n]\n\n'],
    ["objects over lines", '{\n  "a": 1\n}\n{\n  "b": [true, null]\n}\n'],
  ])("are read from %s", (_name, text) => {
    expect(valuesOf(text)).toEqual([{ a: 1 }, { b: [true, null] }]);
  });

  it("have no findings where JSON is right", () => {
    for (const text of [
      "",
      "\n",
      "[]",
      " [ ] ",
      '{"a":"\\u00e9\\ud83d\\ude00 \u2028"}\n',
      '[{"a":-1.5e+3},{}]',
      "1\n2\n",
    ]) {
      expect(findingsOf(text)).toEqual([]);
    }
  });

  it("stand where their text stands", () => {
    const text = '[ {"a": "字"} , {"b": {}}\n]';
    const rows = [...new RowReader(text).rows()].filter(({ kind }) => kind === "row");
    expect(rows.map(({ start, end }) => text.slice(start, end))).toEqual(['{"a": "字"}', '{"b": {}}']);
  });

  it("are JSON.parse's values, and broken exactly where it throws", () => {
    const next = random(3);
    const valid = '{"a": [1, -2.5e3, "x\\n\\u5b57", {"b": null, "c": true}], "d": "字𠮷", "e": {}, "f": []}';
    const alphabet = '{}[]",:\\ntrue0.1-e x\t字';
    for (let round = 0; round < 3000; round++) {
      const at = next(valid.length);
      const text =
        valid.slice(0, at) + (alphabet[next(alphabet.length + 4)] ?? "") + valid.slice(at + next(3));
      let expected: unknown;
      try {
        expected = JSON.parse(text);
      } catch {
        expected = undefined;
      }
      expect([text, valuesOf(text)[0]]).toEqual([text, expected]);
      expect(findingsOf(text).some(({ rule }) => rule === "json-syntax")).toBe(expected === undefined);
    }
  });
});

describe("json-syntax in lines", () => {
  it("is told where each row breaks, and does not hide later rows", () => {
    checkAnnotated(
      annotated`
        {"a": 1
              ^ json-syntax: }${"`"} is missing
        {"a": "cut o
                   ^ json-syntax: is not closed
        {"a": True, "b": 2}
              ^^^^ json-syntax: write ${"`true`"}
        {'a': 1}
         ^ json-syntax: double quotes
        {"a": "he said "no""}
                        ^^ json-syntax: quotation mark
        {"a": 1, }
               ^ json-syntax: Nothing follows
        {"a" 1}
             ^ json-syntax: ${"`:`"}
        {"a": 01}
               ^ json-syntax
        {"a": "\x"}
               ^^ json-syntax: no JSON escape
        {"a": "\u12"}
               ^^^^ json-syntax: four hexadecimal digits
        {"a": 1} // note
                 ^ json-syntax: has ended
        {"a": 1}{"a": 2}
                ^ json-syntax: same line
        {"a": 1},
                ^ json-syntax: without commas
        {"fine": true}
      `,
      findingsOf,
    );
  });

  it("counts UTF-16 after characters of two code units", () => {
    checkAnnotated('{"😀𠮷": nul}\n       ^^^ json-syntax', findingsOf);
  });

  it.each([
    ['{"a": True}', '{"a": true}'],
    ['{"a": NaN}', '{"a": null}'],
    ['{"a": 1, }', '{"a": 1 }'],
    ['{"a": 1},', '{"a": 1}'],
    ['{"a": 1}{"a": 2}', '{"a": 1}\n{"a": 2}'],
    ['{"a": "\t"}', '{"a": "\\t"}'],
    ['{"a": "\0"}', '{"a": "\\u0000"}'],
    ['{"a": "C:\\data"}', '{"a": "C:\\\\data"}'],
  ])("repairs %j", (text, repaired) => {
    expect(applyFix(text, onlyFinding(text))).toBe(repaired);
    expect(findingsOf(repaired)).toEqual([]);
  });
});

describe("json-syntax in an array", () => {
  it("finds its way back to the next row", () => {
    const { text } = checkAnnotated(
      annotated`
        [
          {"a": 1, "b": {"c": 1},
          {"a": 2, "b": {}},
          ^ json-syntax: a key
          {"a": "3, "b": {}},
                     ^ json-syntax
          {"a": 4}
                 ^ json-syntax: is missing between
          {"a": 5},
                  ^ json-syntax: Nothing follows
        ]
      `,
      findingsOf,
    );
    expect(valuesOf(text)).toEqual([undefined, { a: 2, b: {} }, undefined, { a: 4 }, { a: 5 }]);
  });

  it("tells what is not closed, and what follows the end", () => {
    checkAnnotated('[{"a": 1}\n        ^ json-syntax: ] is missing'.replace("] is", "]` is"), findingsOf);
    checkAnnotated('[{"a": 1}] {}\n           ^ json-syntax: nothing may follow', findingsOf);
    checkAnnotated('[{"a": 1}, {"a": [1, 2\n                     ^ json-syntax: ends here', findingsOf);
    const text = '[{"a": 1}\n{"a": 2}';
    expect(findingsOf(text).reduceRight((done, finding) => applyFix(done, finding), text)).toBe(
      '[{"a": 1},\n{"a": 2}\n]',
    );
  });

  it("asks for rows on one line or in an array", () => {
    checkAnnotated('{\n^ json-syntax: one line, or in an array\n  "a": 1\n}\n{\n  "a": 2\n}', findingsOf);
  });
});

describe("file shape", () => {
  it("utf8-bom: at the beginning, and where files were put together", () => {
    const text = '\ufeff{"a": 1}\n\ufeff{"a": 2}\n';
    expect(findingsOf(text).map(({ rule, span }) => [rule, span.start])).toEqual([
      ["utf8-bom", 0],
      ["utf8-bom", 10],
    ]);
    expect(findingsOf(text).reduceRight((done, finding) => applyFix(done, finding), text)).toBe(
      '{"a": 1}\n{"a": 2}\n',
    );
    expect(valuesOf(text)).toEqual([{ a: 1 }, { a: 2 }]);
    expect(findingsOf('\ufeff[{"a": 1}]').map(({ rule }) => rule)).toEqual(["utf8-bom"]);
  });

  it("blank-line: between rows, not after the last", () => {
    const { text } = parseAnnotated('{"a": 1}\n\n  \t\r\n{"a": 2}\n\n\n');
    const finding = onlyFinding(text);
    expect([finding.rule, finding.span]).toEqual(["blank-line", { start: 9, end: 15 }]);
    expect(applyFix(text, finding)).toBe('{"a": 1}\n{"a": 2}\n\n\n');
  });

  it("duplicate-key: at the later one, and deletes the earlier, which readers ignore", () => {
    const { text } = checkAnnotated(
      annotated`
        {"a": 1, "b": {"a": 2}, "a": 3}
                                ^^^ duplicate-key: ${"`a`"} stands twice
      `,
      findingsOf,
    );
    expect(applyFix(text, onlyFinding(text))).toBe('{"b": {"a": 2}, "a": 3}\n'.replace('{"b"', '{"b"'));
    const wide = `{${Array.from({ length: 20 }, (_, index) => `"k${index}": 0`).join(", ")}, "k3": 1}`;
    expect(onlyFinding(wide).span).toEqual({
      start: wide.lastIndexOf('"k3"'),
      end: wide.lastIndexOf('"k3"') + 4,
    });
  });

  it("lone-surrogate: written or escaped, at its exact place", () => {
    checkAnnotated(
      annotated`
        {"a": "ok \ud83d\ude00 no \ud83d\n"}
                                  ^^^^^^ lone-surrogate: half a surrogate pair
        {"a": "\ude00"}
               ^^^^^^ lone-surrogate
      `,
      findingsOf,
    );
    const raw = '{"a": "x\ud83dy"}';
    expect(onlyFinding(raw)).toMatchObject({ rule: "lone-surrogate", span: { start: 8, end: 9 } });
    expect(applyFix(raw, onlyFinding(raw))).toBe('{"a": "xy"}');
  });
});

describe("rubbish", () => {
  it.each([
    ["brackets", "[".repeat(100_000)],
    ["brackets that close", "[".repeat(100_000) + "]".repeat(100_000)],
    ["nested objects", '{"a":'.repeat(100_000)],
    ["a line of rubbish", `{"a": ${"[]".repeat(50_000)}`],
    ["NUL", "\0".repeat(10_000)],
    ["quotes", '"'.repeat(10_001)],
  ])("of %s gives one finding a row and no overflow", (_name, text) => {
    const findings = findingsOf(text);
    expect(findings.length).toBe(1);
    expect(findings[0]?.span.end).toBeLessThanOrEqual(text.length);
  });

  it("of a line too long to be a row is not parsed", () => {
    const text = `{"a": "${"x".repeat(100_000_000)}"}\n{"a": 1}`;
    expect(findingsOf(text).map(({ rule }) => rule)).toEqual(["length-over-limit"]);
    expect(valuesOf(text)).toEqual([undefined, { a: 1 }]);
  });
});
