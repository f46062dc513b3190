/**
 * Tests written as annotated text: a document as a person sees it, with a `$0` cursor and the expected findings
 * marked under the ranges they underline.
 *
 *     {"role": "usr", "content": "hi"}
 *               ^^^ unknown-role: did you mean `user`
 *
 * - A line that begins with `^` marks, after any white space, annotates the nearest line above that is none itself.
 *   Several annotation lines under one line are several findings.
 * - After the marks: the rule id, then optionally `: ` and a part of the message.
 * - `|` in place of `^^^` is an empty range before that column. `^^^ &` continues the range of the annotation above
 *   on a later line, for findings that span lines.
 * - Columns count characters (code points) as they stand on the annotated line, `$0` included; so marks line up in an
 *   editor also under "𠮷" or an emoji. What comes out is UTF-16, as in LSP.
 */
import { expect } from "vitest";
import type { Position, Range } from "../../language-server/src/protocol";
import type { Finding, Span } from "../../language-server/src/text/span";

export interface Annotation {
  rule: string;
  /** A part of the message; empty when any message will do. */
  message: string;
  span: Span;
}

export interface AnnotatedText {
  /** The document without cursor and annotations. */
  text: string;
  /** UTF-16 offset of `$0`. */
  cursor: number | undefined;
  annotations: Annotation[];
}

/** A diagnostic, as LSP or `ziptie check` gives it. */
export interface DiagnosticLike {
  range: Range;
  /** The rule id. */
  code?: string | number | undefined;
  message: string;
}

const cursorMark = "$0";
const annotationLine = /^(\s*)(\^+|\|)\s+(&|[a-z][a-z0-9-]*)(?::\s*(.*?))?\s*$/;

/**
 * Template tag for annotated text: raw (a `\n` stays the two characters that a JSON file holds), without the first
 * line break and the indentation that all lines share. Interpolated values are inserted as they are.
 */
export function annotated(strings: TemplateStringsArray, ...values: string[]): string {
  return dedent(String.raw(strings, ...values));
}

function dedent(source: string): string {
  const lines = source.replace(/^\n/, "").split("\n");
  if (/^[ \t]*$/.test(lines.at(-1) ?? "")) lines[lines.length - 1] = "";
  const indents = lines
    .filter((line) => /[^ \t]/.test(line))
    .map((line) => /^[ \t]*/.exec(line)?.[0].length ?? 0);
  const indent = Math.min(...indents, Number.MAX_SAFE_INTEGER);
  return lines.map((line) => line.slice(Math.min(indent, line.length))).join("\n");
}

/** Takes annotated text apart. `eol` is put between the lines of the text in place of `\n`. */
export function parseAnnotated(source: string, eol = "\n"): AnnotatedText {
  const kept: string[] = [];
  /** For the line last kept: UTF-16 offset in the text of each code point as written, then of the line's end. */
  let columns: number[] = [0];
  let offset = 0;
  let cursor: number | undefined;
  const annotations: Annotation[] = [];
  for (const line of source.split("\n")) {
    const match = annotationLine.exec(line);
    if (!match || kept.length === 0) {
      if (/^\s*\^+/.test(line)) throw new Error(`Not an annotation: ${line}`);
      if (kept.length > 0) offset += (kept.at(-1) ?? "").length + eol.length;
      const mark = line.indexOf(cursorMark);
      if (mark >= 0) {
        if (cursor !== undefined || line.indexOf(cursorMark, mark + 1) >= 0)
          throw new Error("More than one $0.");
        cursor = offset + mark;
      }
      columns = columnsOf(line, offset, mark);
      kept.push(mark >= 0 ? line.slice(0, mark) + line.slice(mark + cursorMark.length) : line);
      continue;
    }
    const [, space = "", marks = "", rule = "", message = ""] = match;
    const first = [...space].length;
    const start = columnOffset(columns, first);
    const end = marks === "|" ? start : columnOffset(columns, first + marks.length);
    if (rule === "&") {
      const above = annotations.at(-1);
      if (!above) throw new Error(`Nothing to continue: ${line}`);
      above.span = { start: above.span.start, end };
    } else annotations.push({ rule, message, span: { start, end } });
  }
  return { text: kept.join(eol), cursor, annotations };
}

function columnsOf(line: string, lineStart: number, mark: number): number[] {
  const columns: number[] = [];
  for (let at = 0; at < line.length; at += (line.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) {
    columns.push(lineStart + withoutMark(at, mark));
  }
  columns.push(lineStart + withoutMark(line.length, mark));
  return columns;
}

function withoutMark(at: number, mark: number): number {
  return mark < 0 || at <= mark ? at : Math.max(mark, at - cursorMark.length);
}

function columnOffset(columns: number[], column: number): number {
  const offset = columns[column];
  if (offset === undefined) throw new Error(`Column ${column} is past the end of the annotated line.`);
  return offset;
}

/** Writes findings under the text they belong to; what a failed comparison shows. */
export function annotate(
  text: string,
  findings: readonly { rule: string; message: string; span: Span }[],
): string {
  const sorted = [...findings].sort(
    (a, b) =>
      a.span.start - b.span.start ||
      a.span.end - b.span.end ||
      compare(a.rule, b.rule) ||
      compare(a.message, b.message),
  );
  const out: string[] = [];
  let lineStart = 0;
  let next = 0;
  const lines = text.split(/\r\n|\n|\r/);
  for (const [index, line] of lines.entries()) {
    out.push(line);
    const lineEnd = lineStart + line.length;
    const terminator = text.startsWith("\r\n", lineEnd) ? 2 : 1;
    for (; next < sorted.length; next++) {
      const finding = sorted[next];
      if (!finding || (finding.span.start >= lineEnd + terminator && index < lines.length - 1)) break;
      const { start, end } = finding.span;
      const pad = " ".repeat([...line.slice(0, start - lineStart)].length);
      const width = [...text.slice(start, Math.min(end, lineEnd))].length;
      const beyond = end > lineEnd ? ` (to offset ${end})` : "";
      out.push(
        `${pad}${start === end ? "|" : "^".repeat(Math.max(1, width))} ${finding.rule}: ${finding.message}${beyond}`,
      );
    }
    lineStart = lineEnd + terminator;
  }
  return out.join("\n");
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Fails unless the findings are exactly the annotated ones: none missing, none more. */
export function expectFindings(expected: AnnotatedText, findings: readonly Finding[]): void {
  const left = [...expected.annotations];
  const actual = findings.map((finding) => {
    const at = left.findIndex(
      ({ rule, span, message }) =>
        rule === finding.rule &&
        span.start === finding.span.start &&
        span.end === finding.span.end &&
        finding.message.includes(message),
    );
    if (at < 0) return finding;
    const [annotation] = left.splice(at, 1);
    // Only the annotated part of the message is compared.
    return { ...finding, message: annotation?.message ?? finding.message };
  });
  expect(annotate(expected.text, actual)).toBe(annotate(expected.text, expected.annotations));
}

/** The same for diagnostics, whose ranges count lines and UTF-16 columns and whose code is the rule id. */
export function expectDiagnostics(expected: AnnotatedText, diagnostics: readonly DiagnosticLike[]): void {
  expectFindings(
    expected,
    diagnostics.map(({ range, code, message }) => ({
      rule: String(code),
      message,
      span: { start: offsetOf(expected.text, range.start), end: offsetOf(expected.text, range.end) },
    })),
  );
}

/** Parses annotated text, checks its text and compares. Returns the parsed text for further assertions. */
export function checkAnnotated(
  source: string,
  check: (text: string) => readonly Finding[],
  eol = "\n",
): AnnotatedText {
  const expected = parseAnnotated(source, eol);
  expectFindings(expected, check(expected.text));
  return expected;
}

/** LSP position of the cursor, or of any offset, counted naively: an oracle for the server's own line index. */
export function positionOf(text: string, offset: number): Position {
  const lines = text.slice(0, offset).split(/\r\n|\n|\r/);
  return { line: lines.length - 1, character: (lines.at(-1) ?? "").length };
}

function offsetOf(text: string, position: Position): number {
  const lines = text.split(/(?<=\r\n|\n|\r(?!\n))/);
  let offset = 0;
  for (const line of lines.slice(0, position.line)) offset += line.length;
  return offset + position.character;
}

/** Applies a finding's fix to the text. */
export function applyFix(text: string, finding: Finding, fix = 0): string {
  const edits = [...(finding.fixes?.[fix]?.edits ?? [])].sort((a, b) => b.span.start - a.span.start);
  if (edits.length === 0) throw new Error(`No fix ${fix} for ${finding.rule}: ${finding.message}`);
  return edits.reduce(
    (done, { span, newText }) => done.slice(0, span.start) + newText + done.slice(span.end),
    text,
  );
}
