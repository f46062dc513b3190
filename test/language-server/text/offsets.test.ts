import { describe, expect, it } from "vitest";
import { commonEnds } from "../../../language-server/src/text/common-ends";
import { CodePointOffsets } from "../../../language-server/src/text/offsets";
import { random } from "../random";

const texts = [
  "",
  "ascii",
  "é字",
  "a𠮷b😀😀c",
  "😀",
  "x\ud83d",
  "\udc00y𠮷",
  `${"字a𠮷".repeat(2000)}é`,
  "a".repeat(1024),
  "字".repeat(2048),
];

describe("CodePointOffsets", () => {
  it.each(texts.map((text) => [text.slice(0, 20), text]))("agrees with the iterator of %j", (_name, text) => {
    const offsets = new CodePointOffsets(text);
    let utf16 = 0;
    let codePoint = 0;
    for (const character of text) {
      expect(offsets.toUtf16(codePoint)).toBe(utf16);
      for (let unit = 0; unit < character.length; unit++)
        expect(offsets.toCodePoint(utf16 + unit)).toBe(codePoint);
      utf16 += character.length;
      codePoint++;
    }
    expect(offsets.codePoints).toBe(codePoint);
    expect(offsets.toUtf16(codePoint)).toBe(text.length);
    expect(offsets.toCodePoint(text.length)).toBe(codePoint);
  });
});

describe("commonEnds", () => {
  it("finds an edit anywhere in a text, and never counts a character twice", () => {
    const next = random(7);
    for (let round = 0; round < 200; round++) {
      const before = "ab".repeat(next(60_000));
      const at = next(before.length + 1);
      const removed = Math.min(next(4), before.length - at);
      const after = before.slice(0, at) + "abc".slice(0, next(4)) + before.slice(at + removed);
      const { prefix, suffix } = commonEnds(before, after);
      expect(prefix + suffix).toBeLessThanOrEqual(Math.min(before.length, after.length));
      expect(after.slice(0, prefix)).toBe(before.slice(0, prefix));
      expect(after.slice(after.length - suffix)).toBe(before.slice(before.length - suffix));
      const middle = Math.max(before.length, after.length) - prefix - suffix;
      expect(middle).toBeLessThanOrEqual(Math.max(removed, 3));
    }
  });
});
