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
 * that the longest ones seldom meet. Every other run has a larger one.
 */
export function largestBatch(data: readonly DataSummary[], rule: BatchRule): BatchShape {
  const rows = rowsOf(data);
  if (rule.packing) return shapeOf(rows, Math.min(rule.size * rule.max_length, rows.tokens));
  const most = longestTogether(rows.lengths, rule.size);
  // Grouped by length, the longest rows do meet.
  return shapeOf(rows, rule.group_by_length ? most : Math.min(most, expectedLargest(rows.lengths, rule)));
}

/** The largest batch of an evaluation, which takes the rows as they come and packs none. */
export function largestEvaluationBatch(data: readonly DataSummary[], size: number): BatchShape {
  const rows = rowsOf(data);
  const batches = Math.ceil(rows.count / size);
  return shapeOf(
    rows,
    Math.min(longestTogether(rows.lengths, size), expectedLargest(rows.lengths, { size, batches })),
  );
}

interface Rows {
  /** How many have so many tokens. */
  lengths: ReadonlyMap<number, number>;
  count: number;
  tokens: number;
  supervised: number;
}

function rowsOf(data: readonly DataSummary[]): Rows {
  const lengths = new Map<number, number>();
  let [count, tokens, supervised] = [0, 0, 0];
  for (const summary of data) {
    for (const [length, rows] of summary.lengths) {
      lengths.set(length, (lengths.get(length) ?? 0) + rows);
      count += rows;
    }
    tokens += summary.tokens;
    supervised += summary.supervised_tokens;
  }
  return { lengths, count, tokens, supervised };
}

function shapeOf({ lengths, tokens, supervised }: Rows, most: number): BatchShape {
  const share = tokens > 0 ? supervised / tokens : 0;
  return { tokens: most, supervised: Math.ceil(most * share), longest: Math.max(1, ...lengths.keys()) };
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

/** Cells of the distribution of a batch's tokens. */
const cells = 4096;

/** The median of the largest sum of `size` lengths among so many draws: lengths are skewed, and their tail is what counts. */
function expectedLargest(
  lengths: ReadonlyMap<number, number>,
  { size, batches }: Pick<BatchRule, "size" | "batches">,
): number {
  let [rows, tokens] = [0, 0];
  for (const [length, count] of lengths) {
    rows += count;
    tokens += count * length;
  }
  // The sum of so many is its mean.
  if (size > cells || rows === 0) return Math.ceil((size * tokens) / Math.max(1, rows));
  const width = Math.max(1, (Math.max(...lengths.keys()) * size) / cells);
  const one = new Float64Array(Math.ceil(cells / size) + 2);
  for (const [length, count] of lengths) {
    // Between two cells, so that the mean is kept.
    const at = Math.floor(length / width);
    const share = length / width - at;
    one[at] = (one[at] ?? 0) + ((1 - share) * count) / rows;
    one[at + 1] = (one[at + 1] ?? 0) + (share * count) / rows;
  }
  const sum = convolvedWithItself(one, size);
  const wanted = 1 - 0.5 ** (1 / Math.max(1, batches));
  let [cell, tail] = [sum.length, 0];
  while (cell > 0 && tail < wanted) tail += sum[--cell] ?? 0;
  return Math.ceil(cell * width);
}

/** The distribution of the sum of `times` draws, by repeated squaring. */
function convolvedWithItself(distribution: Float64Array, times: number): Float64Array {
  if (times === 1) return distribution;
  const half = convolvedWithItself(distribution, times >> 1);
  const even = convolved(half, half);
  return times % 2 === 0 ? even : convolved(even, distribution);
}

function convolved(a: Float64Array, b: Float64Array): Float64Array {
  const sum = new Float64Array(a.length + b.length - 1);
  for (let i = 0; i < a.length; i++) {
    const share = a[i] ?? 0;
    if (share === 0) continue;
    for (let j = 0; j < b.length; j++) sum[i + j] = (sum[i + j] ?? 0) + share * (b[j] ?? 0);
  }
  return sum;
}
