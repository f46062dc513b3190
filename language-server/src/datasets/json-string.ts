import type { Span } from "../text/span";
import type { Content } from "./conversation";

/**
 * Document offset of every UTF-16 unit of a decoded JSON string, then of its end.
 *
 * `span` is the literal without its quotes. Undefined when nothing is escaped: offset i then stands at span.start + i.
 */
export function escapeOffsets(text: string, span: Span): Uint32Array | undefined {
  if (text.slice(span.start, span.end).indexOf("\\") < 0) return undefined;
  const offsets = new Uint32Array(span.end - span.start + 1);
  let units = 0;
  let at = span.start;
  while (at < span.end) {
    offsets[units++] = at;
    if (text.charCodeAt(at) !== backslash) at++;
    else at += text.charCodeAt(at + 1) === letterU ? 6 : 2;
  }
  offsets[units++] = span.end;
  return offsets.subarray(0, units);
}

const backslash = 92;
const letterU = 117;

/** Maps ranges of a decoded content to the document. Remembers what it decoded, so ask one instance many times. */
export class ContentMap {
  readonly #offsets: (Uint32Array | undefined)[];

  /** `text` is the document that the content's spans point into. */
  constructor(
    text: string,
    readonly content: Pick<Content, "pieces">,
  ) {
    this.#offsets = content.pieces.map((piece) => escapeOffsets(text, piece.span));
  }

  /**
   * Where the characters `[start, end)` of the content stand in the document: one span for each piece they touch.
   * Characters that stand nowhere (the line break between instruction and input) are left out.
   */
  spans(start: number, end: number): Span[] {
    const found: Span[] = [];
    for (const [index, piece] of this.content.pieces.entries()) {
      const from = Math.max(start, piece.contentStart);
      const to = Math.min(end, piece.contentEnd);
      if (from >= to) continue;
      found.push({
        start: this.#documentOffset(index, from - piece.contentStart),
        end: this.#documentOffset(index, to - piece.contentStart),
      });
    }
    return found;
  }

  /** Document offset of a content offset; undefined where the content offset stands in no piece. */
  offset(contentOffset: number): number | undefined {
    const index = this.content.pieces.findIndex(
      ({ contentStart, contentEnd }) => contentOffset >= contentStart && contentOffset <= contentEnd,
    );
    const piece = this.content.pieces[index];
    return piece && this.#documentOffset(index, contentOffset - piece.contentStart);
  }

  #documentOffset(index: number, unit: number): number {
    const span = this.content.pieces[index]?.span ?? { start: 0, end: 0 };
    return this.#offsets[index]?.[unit] ?? Math.min(span.start + unit, span.end);
  }
}
