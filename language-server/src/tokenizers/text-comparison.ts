import { type Alignment, align } from "./alignment";
import type { Encoded } from "./encoded";
import type { Figures } from "./figures";
import type { LoadedTokenizer } from "./tokenizer";

/** A text under one tokenizer. */
export interface TokenizedText {
  readonly name: string;
  readonly tokenizer: LoadedTokenizer;
  readonly encoded: Encoded;
  readonly figures: Figures;
}

/** A column of aligned tokens. */
export interface Column {
  /** In the text, UTF-16. */
  readonly start: number;
  readonly end: number;
  /** Each tokenizer's tokens there, in the tokenizers' order. */
  readonly ids: readonly Uint32Array[];
}

/** One text under several tokenizers, in columns in which their tokens align. */
export class TextComparison {
  #alignment: Alignment | undefined;

  constructor(
    readonly text: string,
    readonly results: readonly TokenizedText[],
  ) {}

  /** Computed when first asked for, in time linear in the text. */
  get alignment(): Alignment {
    this.#alignment ??= align(
      this.results.map(({ encoded }) => encoded.spans),
      this.text.length,
    );
    return this.#alignment;
  }

  get columnCount(): number {
    return this.alignment.boundaries.length - 1;
  }

  column(index: number): Column {
    const { boundaries, tokens } = this.alignment;
    return {
      start: boundaries[index] ?? 0,
      end: boundaries[index + 1] ?? 0,
      ids: this.results.map(({ encoded }, place) =>
        encoded.ids.subarray(tokens[place]?.[index], tokens[place]?.[index + 1]),
      ),
    };
  }
}
