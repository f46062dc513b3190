import { describe, expect, it } from "vitest";
import { DatasetChecker } from "../../../language-server/src/datasets/check";
import { random } from "../random";

const messages = (index: number): string =>
  JSON.stringify({
    messages: [
      { role: "user", content: `question ${index} 字𠮷\n"quoted"` },
      { role: index % 7 === 3 ? "usr" : "assistant", content: index % 5 === 1 ? "" : "answer" },
    ],
    id: index % 11 === 2 ? "x" : index,
  });
const alpaca = (index: number): string =>
  JSON.stringify({ instruction: `do ${index}`, input: "", output: "done" }, null, 2);
const lines = (count: number, eol = "\n"): string =>
  Array.from({ length: count }, (_, index) => messages(index)).join(eol);
const array = (count: number): string =>
  `[\n${Array.from({ length: count }, (_, index) => alpaca(index)).join(",\n")}\n]\n`;

const seeds: [string, string][] = [
  ["lines", lines(12)],
  ["lines ending in CRLF", lines(8, "\r\n")],
  ["lines with a mark", `\ufeff${lines(5)}\n\n${lines(3)}\n`],
  ["an array", array(8)],
  ["an array on one line", `[${[0, 1, 2, 3, 4].map(messages).join(",")}]`],
  ["objects over lines", [0, 1, 2].map(alpaca).join("\n")],
  ["next to nothing", "{}"],
];
const snippets = [
  "\n",
  "\r",
  "\r\n",
  '"',
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "\\",
  "\\u",
  "\ud83d",
  "\ufeff",
  " ",
  "\t",
  "x",
  "",
  "true",
  '{"text": "a"}\n',
  '"role": "user", ',
  '{"instruction": "a", "output": "b"},\n',
  "\n\n\n",
  "0",
  "//",
  "\0",
];

/** Random edits of a text, each applied to what the last one left. */
function* edited(
  text: string,
  seed: number,
  rounds: number,
): Generator<{ text: string; start: number; end: number; newText: string }> {
  const next = random(seed);
  let current = text;
  for (let round = 0; round < rounds; round++) {
    const start = next(current.length + 1);
    const length = next(4) === 0 ? next(200) : next(3);
    const end = Math.min(current.length, start + length);
    const newText = snippets[next(snippets.length)] ?? "";
    current = current.slice(0, start) + newText + current.slice(end);
    yield { text: current, start, end, newText };
    // Begin again before nothing is left but rubbish.
    if (round % 25 === 24) current = text;
  }
}

describe.each(seeds)("a checker of %s", (_name, seed) => {
  it("finds after any edits what a fresh one finds", () => {
    const byText = new DatasetChecker(seed);
    const byEdit = new DatasetChecker(seed);
    let round = 0;
    for (const { text, start, end, newText } of edited(seed, 11, 400)) {
      const fresh = new DatasetChecker(text);
      byText.update(text);
      if (round++ % 25 === 0) byEdit.update(text);
      else byEdit.applyEdit({ start, end }, newText);
      for (const checker of [byText, byEdit]) {
        expect(checker.text).toBe(text);
        const found = [checker.format, checker.rowCount, checker.findings()];
        const expected = [fresh.format, fresh.rowCount, fresh.findings()];
        // Comparing two strings a thousand times is quick; what differs is worked out once.
        if (JSON.stringify(found) !== JSON.stringify(expected))
          expect([text, ...found]).toEqual([text, ...expected]);
      }
    }
  });

  it("gives spans inside the text, in order, and rows that can be asked for", () => {
    for (const { text } of edited(seed, 23, 300)) {
      const checker = new DatasetChecker(text);
      for (const { span, fixes } of checker.findings()) {
        for (const { start, end } of [
          span,
          ...(fixes ?? []).flatMap((fix) => fix.edits.map((edit) => edit.span)),
        ]) {
          if (!(start >= 0 && start <= end && end <= text.length))
            expect.fail(`[${start}, ${end}) in ${text}`);
        }
      }
      for (let row = 0; row < checker.rowCount; row++) {
        const { span, index } = checker.row(row);
        expect(index).toBe(row);
        expect([text, span.start >= 0 && span.start <= span.end && span.end <= text.length]).toEqual([
          text,
          true,
        ]);
      }
    }
  });
});

describe("rows of a checker", () => {
  it("are found by an offset in them", () => {
    const text = `${lines(2)}\n\n${messages(2)}`;
    const checker = new DatasetChecker(text);
    expect(checker.rowCount).toBe(3);
    const blank = text.indexOf("\n\n");
    expect([
      checker.rowAt(0),
      checker.rowAt(blank),
      checker.rowAt(blank + 1),
      checker.rowAt(blank + 2),
    ]).toEqual([0, 1, undefined, 2]);
    expect(checker.rowAt(text.length)).toBe(2);
    const { start, end } = checker.rowSpan(1);
    expect(text.slice(start, end)).toBe(messages(1));
  });

  it("keep their findings where they move", () => {
    const checker = new DatasetChecker(`${messages(0)}\n${messages(3)}`);
    checker.applyEdit({ start: 0, end: 0 }, `${messages(0)}\n`);
    const [finding] = checker.row(2).findings;
    expect(checker.text.slice(finding?.span.start, finding?.span.end)).toBe("usr");
  });

  it("change their format with the file's", () => {
    const checker = new DatasetChecker(
      '{"text": "a"}\n{"instruction": "a", "output": "b"}\n{"instruction": "a", "output": "b"}',
    );
    expect(checker.format).toBe("alpaca");
    checker.applyEdit({ start: 14, end: checker.text.length }, '{"text": "b"}');
    expect(checker.format).toBe("text");
    expect(checker.findings()).toEqual([]);
  });
});

describe("the cost of an edit", () => {
  it("is that of the changed rows, not of the file", () => {
    const text = lines(20_000);
    const started = process.cpuUsage();
    const checker = new DatasetChecker(text);
    const first = process.cpuUsage(started);
    const again = process.cpuUsage();
    for (let edit = 0; edit < 10; edit++) {
      checker.applyEdit({ start: edit * 200_000 + 30, end: edit * 200_000 + 30 }, "x");
      checker.findings();
    }
    const edits = process.cpuUsage(again);
    // Reading everything ten times would cost ten times the first check.
    expect(edits.user + edits.system).toBeLessThan((first.user + first.system) * 5);
  });
});
