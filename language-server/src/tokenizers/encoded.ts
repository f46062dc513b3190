import type { TokenSequence } from "./encoder";

/** One text as tokens. */
export class Encoded {
  readonly ids: Uint32Array;
  readonly #sequence: TokenSequence;
  readonly #name: (id: number) => string;
  #spans: Uint32Array | undefined;

  constructor(
    readonly text: string,
    sequence: TokenSequence,
    name: (id: number) => string,
  ) {
    this.ids = sequence.ids;
    this.#sequence = sequence;
    this.#name = name;
  }

  /**
   * Start and end of every token, one pair after the other, in UTF-16 offsets of `text`; never inside a surrogate
   * pair. Tokens may share a span: the bytes of one character do, and so does a word-start mark that the normaliser
   * has added before a character. Computed when first asked for.
   */
  get spans(): Uint32Array {
    this.#spans ??= this.#sequence.spans();
    return this.#spans;
  }

  /** The tokens as the vocabulary writes them, e.g. `▁the`, `<0xE9>`, `</s>`. */
  tokens(): string[] {
    return Array.from(this.ids, this.#name);
  }
}
