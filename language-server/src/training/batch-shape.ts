import type { DataSummary } from "./data-summary";
import type { BatchShape } from "./memory-estimate";

/** What decides which rows come together. */
export interface BatchRule {
  /** Sequences, or packs, in a micro-batch. */
  size: number;
  /** Micro-batches of the whole run. */
  batches: number;
  packing: boolean;
  group_by_length: boolean;
  max_length: number;
}

/**
 * The largest micro-batch of a run, to be expected rather than certain: the rows are drawn without regard to their length, so
 * that the longest ones seldom meet. The largest sum of `size` lengths among `batches` draws lies about √(2 ln batches) standard
 * deviations above the mean, and never above the sum of the longest rows.
 */
export function largestBatch(data: readonly DataSummary[], rule: BatchRule): BatchShape {
  const lengths = new Map<number, number>();
  let [tokens, supervised] = [0, 0];
  for (const { lengths: counted, tokens: all, supervised_tokens } of data) {
    for (const [length, rows] of counted) lengths.set(length, (lengths.get(length) ?? 0) + rows);
    tokens += all;
    supervised += supervised_tokens;
  }
  const share = tokens > 0 ? supervised / tokens : 0;
  const longest = Math.max(1, ...lengths.keys());
  const most = rule.packing
    ? Math.min(rule.size * rule.max_length, tokens)
    : Math.min(longestTogether(lengths, rule.size), expectedLargest(lengths, rule));
  return { tokens: most, supervised: Math.ceil(most * share), longest };
}

/** Tokens of the longest rows that fit into a micro-batch. */
function longestTogether(lengths: ReadonlyMap<number, number>, size: number): number {
  let [left, tokens] = [size, 0];
  for (const length of [...lengths.keys()].sort((a, b) => b - a)) {
    const taken = Math.min(left, lengths.get(length) ?? 0);
    tokens += taken * length;
    left -= taken;
    if (left === 0) break;
  }
  return tokens;
}

function expectedLargest(lengths: ReadonlyMap<number, number>, rule: BatchRule): number {
  // Grouped by length, the longest rows do meet.
  if (rule.group_by_length) return Number.POSITIVE_INFINITY;
  let [rows, sum, squares] = [0, 0, 0];
  for (const [length, count] of lengths) {
    rows += count;
    sum += count * length;
    squares += count * length ** 2;
  }
  const mean = sum / Math.max(1, rows);
  const deviation = Math.sqrt(Math.max(0, squares / Math.max(1, rows) - mean ** 2));
  const above = deviation * Math.sqrt(2 * Math.log(Math.max(1, rule.batches)) * rule.size);
  return Math.ceil(rule.size * mean + above);
}
