import { describe, expect, test } from "vitest";
import { packRows } from "../../../language-server/src/training/packing";

/** Numbers from a linear congruential generator, so that a failure can be repeated. */
function* random(seed: number): Generator<number, never, undefined> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

function randomLengths(count: number, most: number, seed: number, skew = 1): number[] {
  const numbers = random(seed);
  return Array.from({ length: count }, () => 1 + Math.floor(numbers.next().value ** skew * most));
}

/** Every row once, no pack over its capacity. */
function expectPacked(packs: readonly (readonly number[])[], lengths: readonly number[], capacity: number) {
  const rows = packs.flat().sort((a, b) => a - b);
  expect(rows).toEqual(lengths.map((_, row) => row));
  for (const pack of packs) {
    expect(pack.reduce((sum, row) => sum + (lengths[row] ?? 0), 0)).toBeLessThanOrEqual(capacity);
  }
}

/** Best fit decreasing as a textbook writes it: every pack is looked at. TRL's `bfd` makes as many. */
function textbook(lengths: readonly number[], capacity: number): number {
  const rooms: number[] = [];
  for (const length of [...lengths].sort((a, b) => b - a)) {
    let best = -1;
    for (const [pack, room] of rooms.entries()) {
      if (room >= length && (best < 0 || room < (rooms[best] ?? 0))) best = pack;
    }
    if (best < 0) best = rooms.push(capacity) - 1;
    rooms[best] = (rooms[best] ?? 0) - length;
  }
  return rooms.length;
}

/** The fewest packs there can be, by trying everything. */
function fewest(lengths: readonly number[], capacity: number): number {
  const rows = [...lengths].sort((a, b) => b - a);
  let best = rows.length;
  const place = (row: number, rooms: number[]): void => {
    if (rooms.length >= best) return;
    const length = rows[row];
    if (length === undefined) {
      best = rooms.length;
      return;
    }
    for (const room of new Set(rooms)) {
      if (room >= length) place(row + 1, rooms.with(rooms.indexOf(room), room - length));
    }
    place(row + 1, [...rooms, capacity - length]);
  };
  place(0, []);
  return best;
}

describe("packing", () => {
  test("puts the longest first, each where it fits best", () => {
    expect(packRows([3, 2, 3, 1], 4)).toEqual([[0], [2, 3], [1]]);
    expect(packRows([2, 5, 3, 5], 5)).toEqual([[1], [3], [2, 0]]);
    expect(packRows([], 8)).toEqual([]);
    expect(packRows([8], 8)).toEqual([[0]]);
  });

  test.each([1, 2, 7, 64, 1000, 2048])("makes as many packs of %i as TRL's bfd", (capacity) => {
    for (const [seed, skew] of [
      [1, 1],
      [2, 3],
      [3, 0.3],
    ] as const) {
      const lengths = randomLengths(300, capacity, seed * capacity, skew);
      const packs = packRows(lengths, capacity);
      expectPacked(packs, lengths, capacity);
      expect(packs.length).toBe(textbook(lengths, capacity));
    }
  });

  test("stays within best fit decreasing's bound of the fewest possible, 11/9 and 6/9", () => {
    for (let seed = 0; seed < 60; seed++) {
      const lengths = randomLengths(9, 20, seed, 0.5);
      const packs = packRows(lengths, 20).length;
      expect(packs).toBeLessThanOrEqual(Math.floor((11 / 9) * fewest(lengths, 20) + 6 / 9));
    }
  });

  test("wastes little on rows like a chat dataset's", () => {
    const lengths = randomLengths(20_000, 2048, 5, 4);
    const packs = packRows(lengths, 2048);
    expectPacked(packs, lengths, 2048);
    const tokens = lengths.reduce((sum, length) => sum + length, 0);
    expect(tokens / (packs.length * 2048)).toBeGreaterThan(0.99);
  });

  test("is the same every time", () => {
    const lengths = randomLengths(1000, 100, 9);
    expect(packRows(lengths, 100)).toEqual(packRows(lengths, 100));
  });

  test("refuses a row that fits no pack", () => {
    expect(() => packRows([3, 9], 8)).toThrow(RangeError);
    expect(() => packRows([0], 8)).toThrow(RangeError);
  });
});
