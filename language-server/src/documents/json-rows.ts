import type { Finding, Span } from "../text/span";
import { type JsonNode, JsonParser, lastSolid, syntax, trailingComma } from "./json-tree";

/**
 * How a text holds its rows: one a line (JSONL), as the items of one array, or, as no reader of training data takes
 * them, as objects spread over several lines. The file's extension does not matter: `datasets` goes by content, too.
 */
export type RowLayout = "lines" | "array" | "objects";

/** One row, or what stands between rows. Spans and findings are those of the whole text. */
export interface JsonRow extends Span {
  /** `blank`: lines without a row between rows. `end`: what closes an array and whatever follows it. */
  readonly kind: "row" | "blank" | "end";
  /** The row's value; undefined when it does not parse. */
  readonly node: JsonNode | undefined;
  /** As much as could be read of a row that does not parse. */
  readonly partial: JsonNode | undefined;
  /** json-syntax, duplicate-key, lone-surrogate, blank-line, utf8-bom, length-over-limit. */
  readonly findings: readonly Finding[];
  /** Where the next row is looked for. */
  readonly next: number;
}

/** UTF-16 units of a line that are still parsed: a thousand times what a long context holds. */
export const maxRowLength = 16 * 1024 * 1024;

const bom = 0xfeff;
const lf = 10;
const cr = 13;

/**
 * Reads the rows of a text one by one, each exactly and none depending on another: a row that is broken or cut off
 * gives its finding, and reading goes on with the next.
 *
 * `read` is a function of the text from its offset on and of `signature`, so the rows of an edited text can be taken
 * over from before wherever both are equal.
 */
export class RowReader {
  readonly layout: RowLayout;
  /** Where the first row is looked for. */
  readonly start: number;
  /** What stands before the first row. */
  readonly findings: readonly Finding[];
  /** Equal for texts whose rows are read alike. */
  readonly signature: string;
  readonly #parser: JsonParser;
  readonly #continues: boolean;
  /** Matches where a row begins, to find the way back after a broken one. */
  readonly #rowStart: RegExp | undefined;

  /** @param part set when the text is a part of a file: its layout, and whether more of it follows */
  constructor(
    readonly text: string,
    part?: { layout: RowLayout; continues: boolean },
  ) {
    this.#continues = part?.continues ?? false;
    const hasBom = text.charCodeAt(0) === bom;
    const first = firstSolid(text, hasBom ? 1 : 0);
    this.#parser = new JsonParser(text);
    this.layout = part?.layout ?? layoutOf(text, first);
    this.start = this.layout === "lines" ? (hasBom ? 1 : 0) : this.layout === "array" ? first + 1 : first;
    const opening = this.layout === "lines" ? null : rowOpening(text, this.start);
    this.#rowStart = opening === null ? undefined : new RegExp(opening, "g");
    this.signature = `${this.layout} ${this.start} ${opening}`;
    const findings: Finding[] = hasBom ? [byteOrderMark(0)] : [];
    if (this.layout === "objects") {
      findings.push(
        syntax(
          { start: first, end: first + 1 },
          "A row stands on one line, or in an array: readers refuse objects that are spread over lines.",
        ),
      );
    }
    this.findings = findings;
  }

  /** All rows from the first on. */
  *rows(): Generator<JsonRow, void, undefined> {
    for (let row = this.read(this.start); row; row = this.after(row)) yield row;
  }

  /** The row that follows; undefined after the last. */
  after(row: JsonRow): JsonRow | undefined {
    return row.kind === "end" ? undefined : this.read(row.next);
  }

  /** The row at `start` or at a row's `next`; undefined where the text has no more. */
  read(at: number): JsonRow | undefined {
    if (this.layout === "array") return this.#item(at);
    if (at >= this.text.length) return undefined;
    return this.layout === "lines" ? this.#line(at) : this.#object(at);
  }

  #line(at: number): JsonRow | undefined {
    const { text } = this;
    const lineEnd = this.#lineEnd(at);
    const next = afterTerminator(text, lineEnd);
    let start = skipBlanks(text, at, lineEnd);
    if (start === lineEnd) return this.#blankLines(at, next);
    const findings: Finding[] = [];
    if (text.charCodeAt(start) === bom) {
      findings.push(byteOrderMark(start));
      start++;
    }
    if (lineEnd - start > maxRowLength) {
      findings.push(tooLong(start, lineEnd - start));
      return { kind: "row", start, end: lineEnd, node: undefined, partial: undefined, findings, next };
    }
    const parsed = this.#parser.parse(start, lineEnd);
    findings.push(...parsed.findings);
    let { node } = parsed;
    if (node) {
      const rest = skipBlanks(text, parsed.end, lineEnd);
      if (rest < lineEnd) {
        findings.push(afterRow(text, node, rest, skipBlanks(text, rest + 1, lineEnd) === lineEnd));
        node = undefined;
      }
    }
    const end = Math.max(start, lastSolid(text, lineEnd) + 1);
    return { kind: "row", start, end, node, partial: parsed.partial, findings, next };
  }

  /** Blank lines in a row are one finding; at the end of the text they are none, for that is where lines end. */
  #blankLines(at: number, afterFirst: number): JsonRow {
    const { text } = this;
    let next = afterFirst;
    for (let lineEnd = next; next < text.length; next = afterTerminator(text, lineEnd)) {
      lineEnd = this.#lineEnd(next);
      if (skipBlanks(text, next, lineEnd) < lineEnd) break;
    }
    const blank = { kind: "blank", start: at, end: next, node: undefined, partial: undefined, next } as const;
    if (next >= text.length && !this.#continues) return { ...blank, findings: [] };
    const finding: Finding = {
      rule: "blank-line",
      span: { start: at, end: next },
      message: "A blank line between rows: some readers stop or fail here.",
      fixes: [{ title: "Delete the blank line", edits: [{ span: { start: at, end: next }, newText: "" }] }],
    };
    return { ...blank, findings: [finding] };
  }

  #item(at: number): JsonRow | undefined {
    if (at > this.text.length) return undefined;
    const parser = this.#parser;
    parser.moveTo(at);
    const { start } = parser.tokenSpan;
    if (parser.peek() === undefined) return this.#unclosed();
    if (parser.peek() === "]") return this.#closing(start);
    if (parser.peek() === ",") {
      const span = parser.tokenSpan;
      return {
        kind: "blank",
        ...span,
        node: undefined,
        partial: undefined,
        findings: [trailingComma(span)],
        next: span.end,
      };
    }
    const { node, partial, end, findings } = parser.parse(start);
    if (!node) {
      const next = this.#recover(Math.max(end, start + 1));
      return {
        kind: "row",
        start,
        end: Math.max(start + 1, Math.min(end, next)),
        node,
        partial,
        findings,
        next,
      };
    }
    parser.moveTo(end);
    const { start: after, end: afterEnd } = parser.tokenSpan;
    const row = { kind: "row", start, end, node, partial } as const;
    if (parser.peek() === ",") {
      parser.moveTo(afterEnd);
      if (parser.peek() !== "]") return { ...row, findings, next: afterEnd };
      return {
        ...row,
        findings: [...findings, trailingComma({ start: after, end: afterEnd })],
        next: afterEnd,
      };
    }
    if (parser.peek() === "]" || parser.peek() === undefined) return { ...row, findings, next: after };
    if (parser.peek() === "{" || parser.peek() === "[") {
      const missing = syntax({ start: end - 1, end }, "`,` is missing between this row and the next.", {
        title: "Insert `,`",
        edits: [{ span: { start: end, end }, newText: "," }],
      });
      return { ...row, findings: [...findings, missing], next: after };
    }
    const stray = syntax({ start: after, end: afterEnd }, "Expected `,` or `]` after the row.");
    return { ...row, findings: [...findings, stray], next: this.#recover(afterEnd) };
  }

  /** `]`, and what must not follow it. */
  #closing(start: number): JsonRow {
    const { text } = this;
    const rest = firstSolid(text, start + 1);
    const findings =
      rest < text.length
        ? [syntax({ start: rest, end: rest + 1 }, "The array is closed; nothing may follow it.")]
        : [];
    const next = text.length;
    return { kind: "end", start, end: start + 1, node: undefined, partial: undefined, findings, next };
  }

  #unclosed(): JsonRow {
    const { text } = this;
    const last = lastSolid(text, text.length);
    const finding = syntax({ start: last, end: last + 1 }, "The file ends here; `]` is missing.", {
      title: "Insert `]`",
      edits: [{ span: { start: last + 1, end: last + 1 }, newText: "\n]" }],
    });
    const place = { start: text.length, end: text.length, next: text.length };
    return { kind: "end", ...place, node: undefined, partial: undefined, findings: [finding] };
  }

  #object(at: number): JsonRow | undefined {
    const start = firstSolid(this.text, at);
    if (start >= this.text.length) return undefined;
    const { node, partial, end, findings } = this.#parser.parse(start);
    const next = node ? end : this.#recover(Math.max(end, start + 1));
    return { kind: "row", start, end: Math.max(end, start + 1), node, partial, findings, next };
  }

  /** The next place at or after `from` that looks as rows begin here; else past the end of the text. */
  #recover(from: number): number {
    const nowhere = this.text.length + 1;
    if (!this.#rowStart) return nowhere;
    this.#rowStart.lastIndex = from;
    return this.#rowStart.exec(this.text)?.index ?? nowhere;
  }

  /** The next LF or CR. A CR is looked for on this line only: most texts have none to be found. */
  #lineEnd(at: number): number {
    const end = indexOrEnd(this.text, "\n", at);
    const carriageReturn = this.text.slice(at, end).indexOf("\r");
    return carriageReturn < 0 ? end : at + carriageReturn;
  }
}

function indexOrEnd(text: string, wanted: string, from: number): number {
  const found = text.indexOf(wanted, from);
  return found < 0 ? text.length : found;
}

function layoutOf(text: string, first: number): RowLayout {
  const opening = text[first];
  if (opening !== "[" && opening !== "{") return "lines";
  const lineFeed = indexOrEnd(text, "\n", first);
  const lineEnd = first + indexOrEnd(text.slice(first, lineFeed), "\r", 0);
  const rest = firstSolid(text, lineEnd);
  // Lines of arrays are no rows of any format, but lines they are.
  if (opening === "[")
    return text[rest] === "[" && text[lastSolid(text, lineEnd)] === "]" ? "lines" : "array";
  if (opening === "{" && lastSolid(text, lineEnd) === first && text[rest] === '"') return "objects";
  return "lines";
}

/** A pattern for the beginning of a row like the first: its brace and first key. Null when that cannot be seen. */
function rowOpening(text: string, at: number): string | null {
  const match = /^\s*\{\s*("(?:[^"\\\r\n]|\\.){0,200}")/.exec(text.slice(at, at + 2000));
  return match?.[1] ? `\\{\\s*${match[1].replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}` : null;
}

function afterRow(text: string, node: JsonNode, rest: number, last: boolean): Finding {
  const span = { start: rest, end: rest + 1 };
  if (text[rest] === "," && last) {
    return syntax(span, "Rows of a JSONL file stand one a line, without commas.", {
      title: "Delete the comma",
      edits: [{ span, newText: "" }],
    });
  }
  if (text[rest] === "{") {
    return syntax(span, "A second row on the same line.", {
      title: "Start a new line",
      edits: [{ span: { start: node.end, end: rest }, newText: "\n" }],
    });
  }
  return syntax(span, "The row has ended; nothing may follow it on its line.");
}

function tooLong(at: number, length: number): Finding {
  return {
    rule: "length-over-limit",
    span: { start: at, end: at + 1 },
    message: `This row is ${length.toLocaleString("en")} characters long; rows above ${maxRowLength.toLocaleString("en")} are not checked.`,
  };
}

function byteOrderMark(at: number): Finding {
  const span = { start: at, end: at + 1 };
  return {
    rule: "utf8-bom",
    span,
    message:
      "A byte order mark: Python's `json` refuses the file, and others take it for a part of the first row.",
    fixes: [{ title: "Delete the byte order mark", edits: [{ span, newText: "" }] }],
  };
}

function firstSolid(text: string, from: number): number {
  let at = from;
  while (at < text.length && isBlank(text.charCodeAt(at))) at++;
  return at;
}

function skipBlanks(text: string, from: number, end: number): number {
  let at = from;
  while (at < end && isBlank(text.charCodeAt(at))) at++;
  return at;
}

/** JSON's white space. */
function isBlank(unit: number): boolean {
  return unit === 32 || unit === 9 || unit === lf || unit === cr;
}

function afterTerminator(text: string, lineEnd: number): number {
  if (lineEnd >= text.length) return text.length;
  return text.charCodeAt(lineEnd) === cr && text.charCodeAt(lineEnd + 1) === lf ? lineEnd + 2 : lineEnd + 1;
}
