import type { NumberColumn } from "./number-column";

/** A line to draw: `x` ascends; NaN in `y` is a gap. */
export interface Line {
  x: NumberColumn;
  y: NumberColumn;
}

/** uPlot's data: one column of x, one of y for each line. null is a gap; undefined means that the line has no point there. */
export type ChartTable = [x: number[], ...y: (number | null | undefined)[][]];

/**
 * The points of lines between `from` and `to`, and one on either side so that lines run to the edges, as one table. When a
 * line has more than two points for each of `columns` pixels, every line is reduced to the least and the greatest value
 * of each pixel column in the order in which they come: what is drawn is the same, at a cost that does not grow with the run.
 */
export function chartTable(lines: readonly Line[], from: number, to: number, columns: number): ChartTable {
  const spans = lines.map(({ x }) => ({ first: x.lowerBound(from), end: firstAbove(x, to) }));
  const dense = spans.some(({ first, end }) => end - first > 2 * columns);
  return dense && to > from
    ? reduced(lines, spans, from, to, columns)
    : exact(
        lines,
        spans.map(({ first, end }, line) => ({
          first: Math.max(0, first - 1),
          end: Math.min((lines[line] as Line).x.length, end + 1),
        })),
      );
}

interface Span {
  first: number;
  end: number;
}

const firstAbove = (x: NumberColumn, value: number): number => {
  let index = x.lowerBound(value);
  while (index < x.length && x.at(index) <= value) index++;
  return index;
};

const orGap = (value: number): number | null => (Number.isFinite(value) ? value : null);

function exact(lines: readonly Line[], spans: readonly Span[]): ChartTable {
  const xs = new Set<number>();
  for (const [line, { x }] of lines.entries()) {
    const { first, end } = spans[line] as Span;
    for (let index = first; index < end; index++) xs.add(x.at(index));
  }
  const sorted = [...xs].sort((a, b) => a - b);
  const place = new Map(sorted.map((x, index) => [x, index]));
  const columns = lines.map(({ x, y }, line) => {
    const values = new Array<number | null | undefined>(sorted.length).fill(undefined);
    const { first, end } = spans[line] as Span;
    for (let index = first; index < end; index++)
      values[place.get(x.at(index)) as number] = orGap(y.at(index));
    return values;
  });
  return [sorted, ...columns];
}

function reduced(
  lines: readonly Line[],
  spans: readonly Span[],
  from: number,
  to: number,
  columns: number,
): ChartTable {
  const width = (to - from) / columns;
  // The nearest points outside stand where they are; inside, a pixel column has two places.
  const outside = (index: (span: Span) => number) => [
    ...new Set(
      lines.map(({ x }, line) => x.at(index(spans[line] as Span))).filter((value) => !Number.isNaN(value)),
    ),
  ];
  const left = outside(({ first }) => first - 1).sort((a, b) => a - b);
  const right = outside(({ end }) => end).sort((a, b) => a - b);
  const xs = [...left];
  for (let column = 0; column < columns; column++) {
    xs.push(from + (column + 0.25) * width, from + (column + 0.75) * width);
  }
  xs.push(...right);

  const tables = lines.map(({ x, y }, line) => {
    const values = new Array<number | null | undefined>(xs.length).fill(undefined);
    const { first, end } = spans[line] as Span;
    if (first > 0) values[left.indexOf(x.at(first - 1))] = orGap(y.at(first - 1));
    if (end < x.length) values[xs.length - right.length + right.indexOf(x.at(end))] = orGap(y.at(end));
    const xValues = x.values();
    const yValues = y.values();
    let index = first;
    while (index < end) {
      const column = Math.min(columns - 1, Math.floor(((xValues[index] as number) - from) / width));
      const edge = column === columns - 1 ? Number.POSITIVE_INFINITY : from + (column + 1) * width;
      let least = Number.POSITIVE_INFINITY;
      let greatest = Number.NEGATIVE_INFINITY;
      let leastAt = -1;
      let greatestAt = -1;
      do {
        const value = yValues[index] as number;
        if (value < least) {
          least = value;
          leastAt = index;
        }
        if (value > greatest) {
          greatest = value;
          greatestAt = index;
        }
        index++;
      } while (index < end && (xValues[index] as number) < edge);
      const place = left.length + 2 * column;
      if (leastAt === -1) values[place] = null;
      else if (leastAt === greatestAt) values[place] = least;
      else {
        values[place] = leastAt < greatestAt ? least : greatest;
        values[place + 1] = leastAt < greatestAt ? greatest : least;
      }
    }
    return values;
  });
  return [xs, ...tables];
}

/** The values that a y axis has to hold. */
export interface Extent {
  low: number;
  high: number;
}

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
    const values: number[] = [];
    for (const value of table[line + 1] ?? []) {
      if (typeof value === "number" && (!logarithmic || value > 0)) values.push(value as number);
    }
    if (values.length === 0) continue;
    if (isNoisy && values.length >= 100) {
      values.sort((a, b) => a - b);
      low = Math.min(low, values[Math.floor(values.length * 0.01)] as number);
      high = Math.max(high, values[Math.ceil(values.length * 0.99) - 1] as number);
    } else {
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  return low <= high ? { low, high } : undefined;
}
