import type { Position, Range } from "../protocol";
import type { Span } from "./span";

/**
 * Line starts of one text: converts UTF-16 offsets to LSP positions and back. Lines end at LF, CRLF or CR, as in LSP.
 *
 * Building is one pass at the speed of `indexOf`; a conversion is a binary search.
 */
export class LineIndex {
  readonly #starts: number[];

  constructor(readonly text: string) {
    this.#starts = lineStarts(text);
  }

  /** At least 1: the empty text has one empty line. */
  get lineCount(): number {
    return this.#starts.length;
  }

  /** The position of an offset; offsets outside the text are clamped to it. */
  positionAt(offset: number): Position {
    const at = Math.max(0, Math.min(offset, this.text.length));
    const line = this.lineOf(at);
    return { line, character: at - (this.#starts[line] ?? 0) };
  }

  /** The offset of a position; a character past the line's end means the line's end, as LSP asks. */
  offsetAt({ line, character }: Position): number {
    if (line < 0) return 0;
    if (line >= this.#starts.length) return this.text.length;
    const { start, end } = this.lineSpan(line);
    return Math.min(start + Math.max(0, character), end);
  }

  rangeOf(span: Span): Range {
    return { start: this.positionAt(span.start), end: this.positionAt(span.end) };
  }

  spanOf(range: Range): Span {
    return { start: this.offsetAt(range.start), end: this.offsetAt(range.end) };
  }

  /** The line an offset stands on. */
  lineOf(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** A line's characters, without its terminator. */
  lineSpan(line: number): Span {
    const start = this.#starts[line] ?? this.text.length;
    let end = this.#starts[line + 1] ?? this.text.length;
    if (line + 1 < this.#starts.length) {
      end--;
      if (end > start && this.text.charCodeAt(end) === lf && this.text.charCodeAt(end - 1) === cr) end--;
    }
    return { start, end };
  }
}

const lf = 10;
const cr = 13;

function lineStarts(text: string): number[] {
  const starts = [0];
  let nextCr = text.indexOf("\r");
  let nextLf = text.indexOf("\n");
  while (nextCr >= 0 || nextLf >= 0) {
    if (nextCr < 0 || (nextLf >= 0 && nextLf < nextCr)) {
      starts.push(nextLf + 1);
      nextLf = text.indexOf("\n", nextLf + 1);
    } else if (nextLf === nextCr + 1) {
      starts.push(nextLf + 1);
      nextCr = text.indexOf("\r", nextLf + 1);
      nextLf = text.indexOf("\n", nextLf + 1);
    } else {
      starts.push(nextCr + 1);
      nextCr = text.indexOf("\r", nextCr + 1);
    }
  }
  return starts;
}
