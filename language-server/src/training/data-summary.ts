import type { DroppedCounts } from "./engine-plan";

/** Why a row of a dataset is not trained on. */
export type DropReason =
  /** Its JSON or its format is broken. */
  | "broken"
  /** The chat template refuses it. */
  | "template"
  /** It has a character that the tokenizer cannot express. */
  | "tokenizer"
  /** No token of it carries loss. */
  | "unsupervised"
  /** It is longer than `max_length` and `truncation` is `drop`. */
  | "too-long"
  /** Every token that carries loss lies beyond `max_length`. */
  | "unsupervised-after-cut";

/** Rows that are not trained on for one reason. */
export interface DroppedRows {
  reason: DropReason;
  rows: number;
  /** The first of them, counted from 1, and what is wrong with it. */
  first: { row: number; message: string };
}

/** What one dataset comes to, once it has been tokenised. Tokens are counted as they are trained on: after the cut. */
export interface DataSummary {
  path: string;
  weight: number;
  /** Rows of the file, or of the sample that was asked for. */
  rows: number;
  rows_used: number;
  /** Those of them that the chat template rendered. */
  conversations: number;
  /** Units that batches count: packs, or the rows themselves when they are not packed. */
  packs: number;
  rows_cut: number;
  tokens: number;
  supervised_tokens: number;
  /** Tokens of the longest row, after the cut. */
  longest: number;
  /** Rows that are used by their number of tokens, after the cut. */
  lengths: [tokens: number, rows: number][];
  dropped: DroppedRows[];
}

/** One dataset's dropped rows, each reason in a sentence. */
export function warningsOf(summary: DataSummary): string[] {
  return summary.dropped.map(({ reason, rows, first }) => {
    const count = `${rows.toLocaleString("en")} of ${summary.rows.toLocaleString("en")} rows`;
    return `${summary.path}: ${count} not used: ${reasonText[reason]}. The first is row ${first.row}: ${first.message}`;
  });
}

/** Dropped rows of several datasets, as the engine's plan and `run_started` count them. */
export function droppedCounts(summaries: readonly DataSummary[]): DroppedCounts {
  const counts = { too_long: 0, unsupervised: 0, broken: 0, template: 0, tokenizer: 0 };
  for (const { reason, rows } of summaries.flatMap(({ dropped }) => dropped)) {
    counts[countedAs[reason]] += rows;
  }
  return counts;
}

/** The engine cannot tell a row that has no loss from one that has lost it by the cut. */
const countedAs: Record<DropReason, keyof DroppedCounts> = {
  broken: "broken",
  template: "template",
  tokenizer: "tokenizer",
  unsupervised: "unsupervised",
  "too-long": "too_long",
  "unsupervised-after-cut": "unsupervised",
};

const reasonText: Record<DropReason, string> = {
  broken: "they cannot be read",
  template: "the chat template refuses them",
  tokenizer: "the tokenizer cannot encode them",
  unsupervised: "no token of them carries loss",
  "too-long": "they are longer than max_length and truncation is drop",
  "unsupervised-after-cut": "what carries loss lies beyond max_length",
};
