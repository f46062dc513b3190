import { type CompareCorpusParams, type ComparedCorpus, coverageSteps } from "../../protocol";
import { comparisonCsv, coverageCsv } from "../../tokenizers/comparison-csv";
import { readCorpus } from "../../tokenizers/corpus";
import { type CorpusResult, compareCorpus } from "../../tokenizers/corpus-comparison";
import { loadTokenizer } from "../../tokenizers/tokenizer";
import { toTokenizerFigures } from "./compared-token";

/** A writing system has tens of thousands of characters; all that occur are needed for how well they are covered. */
const allCharacters = 1 << 21;
/** The worst-covered ones that are listed. */
const listedCharacters = 100;
/** Progress is sent at most this often, in milliseconds. */
const progressInterval = 200;

export interface CorpusReport {
  read: number;
  total: number;
  texts: number;
}

/**
 * A corpus under several tokenizers, with what a person wants to see of it.
 * @throws CorpusError, TokenizerError, the signal's reason
 */
export async function comparedCorpus(
  { paths, tokenizers, special_tokens }: CompareCorpusParams,
  signal: AbortSignal,
  report: (progress: CorpusReport) => void,
): Promise<ComparedCorpus> {
  const named = [];
  for (const { name, path } of tokenizers) {
    signal.throwIfAborted();
    named.push({ name, tokenizer: await loadTokenizer(path) });
  }
  const progress: CorpusReport = { read: 0, total: 0, texts: 0 };
  let told = 0;
  const tell = (change: Partial<CorpusReport>) => {
    Object.assign(progress, change);
    if (Date.now() - told < progressInterval) return;
    told = Date.now();
    report(progress);
  };
  const started = Date.now();
  const corpus = readCorpus(paths, { signal, onProgress: (read, total) => tell({ read, total }) });
  const { texts, results } = await compareCorpus(corpus, named, {
    addSpecialTokens: special_tokens,
    worstCharacters: allCharacters,
    signal,
    onProgress: (texts) => tell({ texts }),
  });
  const listed = results.map((result) => ({
    ...result,
    worstCharacters: result.worstCharacters.slice(0, listedCharacters),
  }));
  return {
    paths,
    texts,
    seconds: (Date.now() - started) / 1000,
    results: results.map((result, index) => ({
      name: result.tokenizer,
      path: tokenizers[index]?.path ?? "",
      figures: toTokenizerFigures(result.figures),
      worst: result.worstCharacters
        .slice(0, listedCharacters)
        .map(({ character, count, tokensPerCharacter, unknown }) => ({
          character,
          count,
          tokens_per_character: tokensPerCharacter,
          unknown,
        })),
      coverage: coverageOf(result),
    })),
    csv: { figures: comparisonCsv(results), characters: coverageCsv(listed) },
  };
}

/** What share of the corpus's characters takes how many tokens; unknown ones count as the worst. */
function coverageOf({ worstCharacters }: CorpusResult): number[] {
  const counts = coverageSteps.map(() => 0);
  let all = 0;
  for (const { count, tokensPerCharacter, unknown } of worstCharacters) {
    const known = count - unknown;
    // Sums of shares like 1/3 miss a whole number by a little.
    const step = coverageSteps.findIndex((bound) => tokensPerCharacter <= bound + 1e-9);
    counts[step] = (counts[step] ?? 0) + known;
    counts[counts.length - 1] = (counts.at(-1) ?? 0) + unknown;
    all += count;
  }
  return counts.map((count) => (all === 0 ? 0 : count / all));
}
