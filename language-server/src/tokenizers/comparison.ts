/**
 * One text, or a corpus, under several tokenizers. For whoever shows it:
 *
 * - `compareText(text, tokenizers)` gives every tokenizer's tokens and figures, and on demand the columns in which they
 *   align. `TextComparison.at(offset)` is what a hover says: each tokenizer's tokens of the column around an offset.
 * - `countTokens(text, tokenizers)` gives figures alone, several times faster than spans.
 * - `loadNamed(names)` loads them.
 * - `compareCorpus(source, tokenizers)` in `corpus-comparison.ts` reads a corpus piece by piece, in bounded memory.
 *
 * All of it can be cancelled by a signal and takes time linear in the text. It runs on the thread that calls it, in
 * slices: call it on a worker thread.
 */
import { type Alignment, align, columnAt } from "./alignment";
import { characterTokenizer, characterTokenizerName } from "./character-encoder";
import type { Encoded } from "./encoded";
import { type Figures, figuresOf } from "./figures";
import { type LoadedTokenizer, loadTokenizer, type TokenKind } from "./tokenizer";

/** A tokenizer as the person calls it. */
export interface NamedTokenizer {
  readonly name: string;
  readonly tokenizer: LoadedTokenizer;
}

export interface ComparisonOptions {
  /** Whether BOS and the like are added; default: they are not. */
  readonly addSpecialTokens?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each tokenizer with how many of them are done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface ComparedToken {
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly token: string;
  readonly kind: TokenKind;
  /** The bytes it stands for, where it is no special token. */
  readonly bytes: Uint8Array | undefined;
  /** In the text, UTF-16. */
  readonly start: number;
  readonly end: number;
}

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
  /** One list for each tokenizer, in their order. */
  readonly tokens: readonly (readonly ComparedToken[])[];
}

export class TextComparison {
  #alignment: Alignment | undefined;

  constructor(
    readonly text: string,
    readonly results: readonly TokenizedText[],
  ) {}

  /** Computed when first asked for. */
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
      tokens: this.results.map((result, place) => {
        const first = tokens[place]?.[index] ?? 0;
        const end = tokens[place]?.[index + 1] ?? 0;
        return Array.from({ length: end - first }, (_, token) => tokenOf(result, first + token));
      }),
    };
  }

  /** The column around a UTF-16 offset; undefined for an empty text. */
  at(offset: number): Column | undefined {
    return this.columnCount > 0 ? this.column(columnAt(this.alignment, offset)) : undefined;
  }
}

export function tokenOf(
  { encoded, tokenizer }: Pick<TokenizedText, "encoded" | "tokenizer">,
  index: number,
): ComparedToken {
  const id = encoded.ids[index] as number;
  const token = tokenizer.token(id);
  return {
    id,
    token,
    kind: tokenizer.kind(id),
    bytes: tokenizer.bytes(id),
    start: encoded.spans[2 * index] as number,
    end: encoded.spans[2 * index + 1] as number,
  };
}

/** @throws TokenizerError; the signal's reason */
export async function compareText(
  text: string,
  tokenizers: readonly NamedTokenizer[],
  options: ComparisonOptions = {},
): Promise<TextComparison> {
  const results: TokenizedText[] = [];
  for (const { name, tokenizer } of tokenizers) {
    options.signal?.throwIfAborted();
    const { signal, addSpecialTokens = false } = options;
    const encoded = await tokenizer.encode(text, { addSpecialTokens, signal });
    results.push({ name, tokenizer, encoded, figures: figuresOf(encoded, tokenizer) });
    options.onProgress?.(results.length, tokenizers.length);
  }
  return new TextComparison(text, results);
}

/** Each tokenizer's figures of a text, in their order, without spans. */
export async function countTokens(
  text: string,
  tokenizers: readonly NamedTokenizer[],
  options: ComparisonOptions = {},
): Promise<Figures[]> {
  return (await compareText(text, tokenizers, options)).results.map(({ figures }) => figures);
}

/**
 * Loads tokenizers by the names that a person gives them: paths, packages (see `loadTokenizer`), and `characters`. A name
 * that is given twice counts once.
 *
 * @throws TokenizerError
 */
export async function loadNamed(names: readonly string[], from?: string): Promise<NamedTokenizer[]> {
  const loaded: NamedTokenizer[] = [];
  for (const name of new Set(names)) {
    const tokenizer =
      name === characterTokenizerName ? characterTokenizer() : await loadTokenizer(name, from);
    loaded.push({ name, tokenizer });
  }
  return loaded;
}
