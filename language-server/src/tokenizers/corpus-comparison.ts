/** A corpus under several tokenizers: totals of each, and the characters it covers worst. */
import { CharacterCoverage, type CoveredCharacter } from "./character-coverage";
import type { CorpusText } from "./corpus";
import { FigureSum, type Figures, sizeOf } from "./figures";
import type { NamedTokenizer } from "./named-tokenizers";

export interface CorpusComparisonOptions {
  /** Whether BOS and the like are added to every text; default: they are not. */
  readonly addSpecialTokens?: boolean | undefined;
  /** How many of the worst-covered characters are wanted; default: none, which is faster. */
  readonly worstCharacters?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after every stretch of the corpus, with the number of texts so far. */
  readonly onProgress?: ((texts: number) => void) | undefined;
}

export interface CorpusComparison {
  readonly texts: number;
  /** In the tokenizers' order. */
  readonly results: readonly CorpusResult[];
}

export interface CorpusResult {
  readonly tokenizer: string;
  /** Totals over the corpus. */
  readonly figures: Figures;
  /** The worst first. */
  readonly worstCharacters: readonly CoveredCharacter[];
}

/** So much of the corpus is held at once, unless one text is longer. In UTF-16 units. */
const heldAtOnce = 1 << 18;

/**
 * @param corpus its texts, e.g. `readCorpus(paths)`
 * @throws what reading throws; TokenizerError; the signal's reason
 */
export async function compareCorpus(
  corpus: AsyncIterable<CorpusText> | Iterable<CorpusText>,
  tokenizers: readonly NamedTokenizer[],
  options: CorpusComparisonOptions = {},
): Promise<CorpusComparison> {
  const { signal, worstCharacters = 0, addSpecialTokens = false } = options;
  const sums = tokenizers.map(() => new FigureSum());
  const coverages = tokenizers.map((named) =>
    worstCharacters > 0 ? new CharacterCoverage(named.tokenizer) : undefined,
  );
  let texts = 0;
  let held: CorpusText[] = [];
  let length = 0;
  const count = async () => {
    const given = held.map(({ text }) => text);
    const sizes = held.map(({ text, words }) => ({ ...sizeOf(text), words }));
    for (const [index, { tokenizer }] of tokenizers.entries()) {
      signal?.throwIfAborted();
      const sum = sums[index] as FigureSum;
      for (const size of sizes) sum.addText(size);
      for (const encoded of await tokenizer.encodeBatch(given, { addSpecialTokens, signal })) {
        sum.addTokens(encoded.ids, tokenizer);
        coverages[index]?.add(encoded);
      }
    }
    texts += held.length;
    held = [];
    length = 0;
    options.onProgress?.(texts);
  };
  for await (const text of corpus) {
    held.push(text);
    length += text.text.length;
    if (length >= heldAtOnce) await count();
  }
  if (held.length > 0) await count();
  return {
    texts,
    results: tokenizers.map(({ name }, index) => ({
      tokenizer: name,
      figures: (sums[index] as FigureSum).toFigures(),
      worstCharacters: coverages[index]?.worst(worstCharacters) ?? [],
    })),
  };
}
