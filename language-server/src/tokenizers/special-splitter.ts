/** A part of a text: a special token that is written there, or what stands between two. */
export interface TextPart {
  readonly start: number;
  readonly end: number;
  /** Undefined for ordinary text. */
  readonly id: number | undefined;
}

/** Finds special tokens that are written in a text, from the left, of several at one place the longest. */
export class SpecialSplitter {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #pattern: RegExp | undefined;

  constructor(tokens: readonly { readonly content: string; readonly id: number }[]) {
    this.#ids = new Map(tokens.map(({ content, id }) => [content, id]));
    const contents = [...this.#ids.keys()].filter((content) => content !== "");
    contents.sort((left, right) => right.length - left.length);
    const escaped = contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
    this.#pattern = escaped.length > 0 ? new RegExp(escaped.join("|"), "g") : undefined;
  }

  /** Covers the text; parts of ordinary text are not empty. */
  split(text: string): TextPart[] {
    const parts: TextPart[] = [];
    let start = 0;
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      if (match.index > start) parts.push({ start, end: match.index, id: undefined });
      start = match.index + match[0].length;
      parts.push({ start: match.index, end: start, id: this.#ids.get(match[0]) });
    }
    if (start < text.length) parts.push({ start, end: text.length, id: undefined });
    return parts;
  }
}
