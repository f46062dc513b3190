import type { NumberColumn } from "./number-column";
import type { ValueColumn } from "./value-column";

/** A line to draw: `x` ascends; a value of `y` that is not finite is a gap. */
export interface Line {
  x: NumberColumn;
  y: ValueColumn;
}

type Value = number | null | undefined;

/** uPlot's data: one column of x, one of y for each line. null is a gap; undefined means that the line has no point there. */
export type ChartTable = [x: number[], ...y: Value[][]];

/**
 * The points of lines between `from` and `to`, and a little on either side so that lines run to the edges, as one table. A line
 * with more than two points for each of `columns` pixels is reduced to the least and the greatest value of blocks of one to two
 * pixels, in the order in which they come: it looks the same, at a cost that does not grow with the run.
 */
export function chartTable(lines: readonly Line[], from: number, to: number, columns: number): ChartTable {
  const points = lines.map((line) => pointsOf(line, from, to, columns));
  const [first, ...others] = points;
  let xs = first?.x ?? [];
  for (const { x } of others) xs = merged(xs, x);
  return [xs, ...points.map(({ x, y }) => aligned(x, y, xs))];
}

interface Points {
  x: number[];
  y: Value[];
}

const orGap = (value: number): number | null => (Number.isFinite(value) ? value : null);

function pointsOf({ x, y }: Line, from: number, to: number, columns: number): Points {
  const first = x.lowerBound(from);
  const end = Math.max(first, x.nearest(to) + 1);
  const count = end - first;
  const points: Points = { x: [], y: [] };
  if (count <= 2 * columns) {
    for (let index = Math.max(0, first - 1); index < Math.min(x.length, end + 1); index++) {
      points.x.push(x.at(index));
      points.y.push(orGap(y.at(index)));
    }
    return points;
  }
  // Blocks are aligned to the column, not to the view: they stay what they are while the view moves and the run grows.
  const level = Math.ceil(Math.log2(count / columns));
  const size = 2 ** level;
  const lastBlock = Math.min(Math.ceil(x.length / size), Math.ceil(end / size) + 1);
  for (let block = Math.max(0, Math.floor(first / size) - 1); block < lastBlock; block++) {
    const start = block * size;
    const { least, greatest } = y.extremes(block, level);
    points.x.push(x.at(start));
    if (least === -1) {
      points.y.push(null);
      continue;
    }
    const [earlier, later] = least < greatest ? [least, greatest] : [greatest, least];
    points.y.push(y.at(earlier));
    const middle = start + size / 2;
    if (middle >= x.length) continue;
    points.x.push(x.at(middle));
    points.y.push(y.at(later));
  }
  // The end of the line is exact: it is where the run is now.
  if (end === x.length && points.x.at(-1) !== x.last) {
    points.x.push(x.last);
    points.y.push(orGap(y.last));
  }
  return points;
}

/** The union of two ascending lists; the first itself when the second adds nothing. */
function merged(a: number[], b: number[]): number[] {
  const union: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = a[i] ?? Number.POSITIVE_INFINITY;
    const right = b[j] ?? Number.POSITIVE_INFINITY;
    union.push(Math.min(left, right));
    if (left <= right) i++;
    if (right <= left) j++;
  }
  return union.length === a.length ? a : union;
}

/** Spreads a line's values over a list of x that holds all of its own. */
function aligned(x: number[], y: Value[], xs: number[]): Value[] {
  if (x.length === xs.length) return y;
  const values: Value[] = new Array(xs.length).fill(undefined);
  let at = 0;
  for (const [index, value] of x.entries()) {
    while ((xs[at] as number) < value) at++;
    values[at] = y[index];
  }
  return values;
}

/** The values that a y axis has to hold. */
export interface Extent {
  low: number;
  high: number;
}

/** A noisy line with fewer points than this counts whole. */
const fewPoints = 100;

/**
 * The extent of some lines of a table. A line that is `noisy` counts with its 1st to 99th percentile, so that one spike does
 * not flatten everything else.
 * @returns undefined when there is no value (for a logarithmic axis: no positive one)
 */
export function extentOf(
  table: ChartTable,
  noisy: readonly boolean[],
  logarithmic: boolean,
): Extent | undefined {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const [line, isNoisy] of noisy.entries()) {
    const column = table[line + 1] ?? [];
    const values = new Float64Array(column.length);
    let count = 0;
    for (const value of column) {
      if (typeof value === "number" && (!logarithmic || value > 0)) values[count++] = value as number;
    }
    if (count === 0) continue;
    const found = values.subarray(0, count);
    if (isNoisy && count >= fewPoints) {
      found.sort();
      low = Math.min(low, found[Math.floor(count * 0.01)] as number);
      high = Math.max(high, found[Math.ceil(count * 0.99) - 1] as number);
    } else {
      for (const value of found) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  return low <= high ? { low, high } : undefined;
}
