import { escapeOffsets } from "../documents/json-literal";
import type { Span } from "../text/span";
import type { Content } from "./conversation";

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
