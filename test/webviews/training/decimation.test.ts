import { describe, expect, test } from "vitest";
import { chartTable, extentOf, type Line } from "../../../webviews/src/training/decimation";
import { NumberColumn } from "../../../webviews/src/training/number-column";
import { ValueColumn } from "../../../webviews/src/training/value-column";

function line(xs: readonly number[], ys: readonly number[]): Line {
  const x = new NumberColumn();
  const y = new ValueColumn();
  for (const value of xs) x.push(value);
  for (const value of ys) y.push(value);
  return { x, y };
}
const steps = (count: number, every = 1) => Array.from({ length: count }, (_, index) => (index + 1) * every);
const wave = (count: number) => steps(count).map((step) => Math.sin(step / 37) + Math.cos(step * 1.7));

describe("few points", () => {
  test("are handed on as they are, with one neighbour on either side of the view", () => {
    expect(chartTable([line([1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60])], 3, 4, 100)).toEqual([
      [2, 3, 4, 5],
      [20, 30, 40, 50],
    ]);
  });

  test("a value that is not finite is a gap, a step that another line has is none", () => {
    const table = chartTable([line([1, 2, 3], [1, Number.NaN, 3]), line([2], [7])], 1, 3, 100);
    expect(table).toEqual([
      [1, 2, 3],
      [1, null, 3],
      [undefined, 7, undefined],
    ]);
  });

  test("no points make an empty table", () => {
    expect(chartTable([line([], [])], 0, 1, 100)).toEqual([[], []]);
  });
});

describe("many points", () => {
  const count = 50_000;
  const values = wave(count);
  values[31_415] = 99;
  const long = line(steps(count), values);

  test.each([1, 300, 931, 2000])("cost no more than four for each of %i pixels", (columns) => {
    const [xs] = chartTable([long], 1, count, columns);
    expect(xs.length).toBeLessThanOrEqual(4 * columns + 5);
  });

  test("keep the least and the greatest of every block, a single spike included", () => {
    const [, ys] = chartTable([long], 1, count, 500);
    expect(ys).toContain(99);
    expect(ys).toContain(Math.min(...values));
  });

  test("are in ascending order and end with the last point", () => {
    const [xs, ys] = chartTable([long], 1, count, 777);
    expect(xs.every((x, index) => index === 0 || x > (xs[index - 1] as number))).toBe(true);
    expect(xs.at(-1)).toBe(count);
    expect(ys?.at(-1)).toBe(values.at(-1));
  });

  test("of a part of the run are those of that part", () => {
    const [xs, ys] = chartTable([long], 20_000, 30_000, 200);
    const size = 64;
    expect(xs[0]).toBeGreaterThan(20_000 - 3 * size);
    expect(xs.at(-1)).toBeLessThan(30_000 + 3 * size);
    expect(ys).not.toContain(99);
  });

  test("stay the same blocks while the run grows, so that nothing flickers", () => {
    const before = chartTable([line(steps(40_000), values.slice(0, 40_000))], 1, 40_000, 500);
    const after = chartTable([line(steps(40_100), values.slice(0, 40_100))], 1, 40_100, 500);
    expect(after[0].slice(0, before[0].length - 4)).toEqual(before[0].slice(0, -4));
    expect(after[1]?.slice(0, before[0].length - 4)).toEqual(before[1]?.slice(0, -4));
  });

  test("a block without a finite value is a gap", () => {
    const [, ys] = chartTable([line(steps(10_000), new Array(10_000).fill(Number.NaN))], 1, 10_000, 100);
    expect(new Set(ys)).toEqual(new Set([null]));
  });
});

describe("the extremes of a growing column", () => {
  test("agree with reading every value, complete block or not", () => {
    const values = wave(1003).map((value, index) => (index % 11 === 0 ? Number.NaN : value));
    const { y } = line([], values);
    for (const level of [0, 1, 3, 6, 10]) {
      const size = 2 ** level;
      for (let block = 0; block * size < values.length; block++) {
        const part = values.slice(block * size, (block + 1) * size).filter((value) => !Number.isNaN(value));
        const { least, greatest } = y.extremes(block, level);
        if (part.length === 0) expect([least, greatest]).toEqual([-1, -1]);
        else expect([y.at(least), y.at(greatest)]).toEqual([Math.min(...part), Math.max(...part)]);
      }
    }
  });
});

describe("the extent of an axis", () => {
  test("holds every value of a line, but lets a noisy one's spike go", () => {
    const ys = wave(400);
    ys[200] = 1000;
    const table = chartTable([line(steps(400), ys)], 1, 400, 400);
    expect(extentOf(table, [false], false)?.high).toBe(1000);
    expect(extentOf(table, [true], false)?.high).toBeLessThan(3);
  });

  test("of a logarithmic axis leaves out what is not positive", () => {
    const table = chartTable([line([1, 2, 3], [-1, 0, 4])], 1, 3, 100);
    expect(extentOf(table, [false], true)).toEqual({ low: 4, high: 4 });
    expect(extentOf(chartTable([line([1], [0])], 0, 2, 100), [false], true)).toBeUndefined();
  });
});
