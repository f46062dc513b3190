import { describe, expect, it } from "vitest";
import { LineIndex } from "../../../language-server/src/text/line-index";
import { positionOf } from "../annotated";

const texts = [
  "",
  "a",
  "a\n",
  "\n",
  "\r\n",
  "\r",
  "a\r\nb\rc\nd",
  "\r\r\n\n\r",
  "𠮷\n字\r\n",
  "a\n\nb\r\r",
  "x\r\n\r\ny",
];

describe("LineIndex", () => {
  it.each(texts)("gives every offset of %j the position that splitting at line ends gives", (text) => {
    const index = new LineIndex(text);
    for (let offset = 0; offset <= text.length; offset++) {
      // Between CR and LF, splitting the text before the offset sees a line that the pair has not begun yet.
      if (text[offset] === "\n" && text[offset - 1] === "\r") continue;
      expect(index.positionAt(offset)).toEqual(positionOf(text, offset));
      expect(index.offsetAt(index.positionAt(offset))).toBe(offset);
    }
    expect(index.lineCount).toBe(text.split(/\r\n|\n|\r/).length);
  });

  it("gives a line's characters without its terminator", () => {
    const index = new LineIndex("ab\r\ncd\ref\ngh");
    const lines = [0, 1, 2, 3].map((line) => index.lineSpan(line));
    expect(lines.map(({ start, end }) => index.text.slice(start, end))).toEqual(["ab", "cd", "ef", "gh"]);
  });

  it("clamps positions past a line's end to the line, and past the text to the text", () => {
    const index = new LineIndex("ab\r\ncd");
    expect(index.offsetAt({ line: 0, character: 99 })).toBe(2);
    expect(index.offsetAt({ line: 9, character: 0 })).toBe(6);
    expect(index.positionAt(99)).toEqual({ line: 1, character: 2 });
    expect(index.positionAt(-1)).toEqual({ line: 0, character: 0 });
  });
});
