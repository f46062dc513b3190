import type { VocabularyPlan } from "../../configs/vocabulary-plan";
import type { BaseTokenizer } from "../../tokenizers/extension/base-tokenizer";
import type { Extension } from "../../tokenizers/extension/extend";
import type { Comparison, TokenCounts } from "../../tokenizers/extension/measure";
import type { TrainedVocabulary } from "./train-bpe";

/** What came of an extension; `report.json` in the run directory. */
export interface VocabularyReport {
  base: string;
  scripts: readonly string[];
  /** Tokens before and after, added tokens and what the base leaves out of its numbering among them. */
  base_size: number;
  size: number;
  /** Tokens of the vocabulary that was trained. */
  trained: number;
  added: number;
  /** Of `added`: bytes on the way to a character. */
  intermediate: number;
  /** Trained, but not added, and why. */
  dropped: { in_base: number; other_script: string[]; unreachable: string[] };
  corpus: { texts: number; dropped_words: number; dropped_occurrences: number };
  /** How many tokens texts take; `words_per_token` where gold words are known. */
  efficiency: TokenCounts & {
    corpus: "eval_dataset" | "dataset";
    characters_per_token: Change;
    words_per_token: Change | null;
    /** Tokens before over tokens after. */
    ratio: number;
  };
  /** Texts that had to be tokenised as before. */
  check: Comparison & { corpus: "check_dataset" | "dataset" };
}

interface Change {
  before: number;
  after: number;
}

export function vocabularyReport(
  plan: VocabularyPlan,
  base: BaseTokenizer,
  trained: TrainedVocabulary,
  extension: Extension,
  counts: TokenCounts,
  check: Comparison,
): VocabularyReport {
  const { characters, words, tokens_before, tokens_after } = counts;
  const per = (what: number): Change => ({ before: what / tokens_before, after: what / tokens_after });
  return {
    base: plan.tokenizer,
    scripts: plan.scripts,
    base_size: base.size,
    size: base.size + extension.added.length,
    trained: trained.tokens.length,
    added: extension.added.length,
    intermediate: extension.intermediate,
    dropped: {
      in_base: extension.shared.length,
      other_script: [...extension.otherScript],
      unreachable: [...extension.unreachable],
    },
    corpus: {
      texts: trained.texts,
      dropped_words: trained.droppedWords,
      dropped_occurrences: trained.droppedOccurrences,
    },
    efficiency: {
      corpus: plan.evaluation.length > 0 ? "eval_dataset" : "dataset",
      ...counts,
      characters_per_token: per(characters),
      words_per_token: words === null ? null : per(words),
      ratio: tokens_before / tokens_after,
    },
    check: { corpus: plan.check.length > 0 ? "check_dataset" : "dataset", ...check },
  };
}

/** The same for a person. */
export function reportInMarkdown(report: VocabularyReport): string {
  const n = (value: number) => value.toLocaleString("en");
  const { efficiency, check, dropped, corpus } = report;
  const change = ({ before, after }: Change) => `${before.toFixed(3)} → ${after.toFixed(3)}`;
  const rows: [string, string][] = [
    ["Base", `${report.base}, ${n(report.base_size)} tokens`],
    ["Scripts", report.scripts.join(", ")],
    ["Trained", `${n(report.trained)} tokens on ${n(corpus.texts)} texts`],
    [
      "Added",
      `${n(report.added)}, in all ${n(report.size)}${report.intermediate > 0 ? `; ${n(report.intermediate)} of them bytes on the way to a character` : ""}`,
    ],
    ["Dropped: in the base already", n(dropped.in_base)],
    ["Dropped: of another script", n(dropped.other_script.length)],
    ["Dropped: out of reach of the base's merges", n(dropped.unreachable.length)],
    ["Characters per token", change(efficiency.characters_per_token)],
    ...(efficiency.words_per_token === null
      ? []
      : ([["Gold words per token", change(efficiency.words_per_token)]] as [string, string][])),
    [
      "Tokens",
      `${n(efficiency.tokens_before)} → ${n(efficiency.tokens_after)}, ${efficiency.ratio.toFixed(2)} times fewer, on ${n(efficiency.texts)} texts of \`${efficiency.corpus}\``,
    ],
    [
      "Tokenised as before",
      `${n(check.texts - check.changed)} of ${n(check.texts)} texts of \`${check.corpus}\``,
    ],
    ...(corpus.dropped_words > 0
      ? ([["Left out for want of memory", `${n(corpus.dropped_occurrences)} occurrences of rare words`]] as [
          string,
          string,
        ][])
      : []),
  ];
  const table = rows.map(([what, value]) => `| ${what} | ${value.replaceAll("|", "\\|")} |`);
  return ["# Vocabulary extension", "", "| | |", "|---|---|", ...table, ""].join("\n");
}
