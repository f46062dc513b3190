import { describe, expect, it } from "vitest";
import type { Finding } from "../../language-server/src/text/span";
import { annotate, annotated, expectDiagnostics, expectFindings, parseAnnotated } from "./annotated";

const finding = (start: number, end: number, rule = "some-rule", message = "Something."): Finding => ({
  rule,
  span: { start, end },
  message,
});

describe("annotated text", () => {
  it("gives the text without annotations, and the spans in UTF-16", () => {
    const parsed = parseAnnotated(annotated`
      a𠮷bc
       ^^ first-rule: part
         ^ second-rule
      d\n$0e
       ^^^^^ third-rule
    `);
    expect(parsed.text).toBe("a𠮷bc\nd\\ne\n");
    expect(parsed.cursor).toBe(9);
    expect(
      parsed.annotations.map(({ rule, span }) => [rule, parsed.text.slice(span.start, span.end)]),
    ).toEqual([
      ["first-rule", "𠮷b"],
      ["second-rule", "c"],
      ["third-rule", String.raw`\ne`],
    ]);
  });

  it("knows empty ranges, ranges over lines and other line ends", () => {
    const parsed = parseAnnotated("abc\n  | empty\n ^^ long\ndef\n^^ &", "\r\n");
    expect(parsed.text).toBe("abc\r\ndef");
    expect(parsed.annotations.map(({ span }) => span)).toEqual([
      { start: 2, end: 2 },
      { start: 1, end: 7 },
    ]);
  });

  it("refuses an annotation it cannot read, and one beside the text", () => {
    expect(() => parseAnnotated("abc\n^^ Not a rule")).toThrow("Not an annotation");
    expect(() => parseAnnotated("abc\n   ^^ some-rule")).toThrow("past the end");
    expect(() => parseAnnotated("a$0b$0")).toThrow("More than one");
  });

  it("accepts exactly the annotated findings", () => {
    const expected = parseAnnotated("abcdef\n^^ some-rule: thing\n   ^ other-rule");
    expectFindings(expected, [finding(3, 4, "other-rule"), finding(0, 2)]);
    expectDiagnostics(expected, [
      {
        range: { start: { line: 0, character: 3 }, end: { line: 0, character: 4 } },
        code: "other-rule",
        message: "x",
      },
      {
        range: { start: { line: 0, character: 0 }, end: { line: 0, character: 2 } },
        code: "some-rule",
        message: "A thing.",
      },
    ]);
  });

  it.each([
    ["a missing finding", []],
    ["one more", [finding(0, 2), finding(3, 4)]],
    ["the same twice", [finding(0, 2), finding(0, 2)]],
    ["another range", [finding(0, 3)]],
    ["another rule", [finding(0, 2, "other-rule")]],
    ["another message", [finding(0, 2, "some-rule", "Else.")]],
  ])("fails for %s", (_name, findings) => {
    const expected = parseAnnotated("abcdef\n^^ some-rule: thing");
    expect(() => expectFindings(expected, findings)).toThrow();
  });

  it("shows findings under the text", () => {
    expect(annotate("a𠮷b\ncd", [finding(1, 4), finding(6, 6)])).toBe(
      "a𠮷b\n ^^ some-rule: Something.\ncd\n | some-rule: Something.",
    );
  });
});
