import { NumberColumn } from "./number-column";

/** A growing list of indices. */
class IndexList {
  #values = new Int32Array(64);
  length = 0;

  at(index: number): number {
    return this.#values[index] as number;
  }

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = new Int32Array(this.#values.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }
}

/** Index of the least and of the greatest value of a block; -1 when none of its values is finite. */
export interface Extremes {
  least: number;
  greatest: number;
}

/**
 * A column that knows the extremes of every aligned block of 2, 4, 8 … values: a pyramid that costs two comparisons for each
 * value pushed, so that a long run is reduced to the width of a chart without being read again.
 */
export class ValueColumn extends NumberColumn {
  /** `#levels[k]` has the extremes of the blocks of 2^(k+1) values. */
  #levels: { least: IndexList; greatest: IndexList }[] = [];

  override push(value: number): void {
    super.push(value);
    let end = this.length;
    for (let level = 0; end % 2 === 0; level++, end /= 2) {
      const block = this.length - 2 ** (level + 1);
      const half = 2 ** level;
      const { least, greatest } = this.#join(
        this.#block(block / half, level),
        this.#block(block / half + 1, level),
      );
      this.#levels[level] ??= { least: new IndexList(), greatest: new IndexList() };
      this.#levels[level]?.least.push(least);
      this.#levels[level]?.greatest.push(greatest);
    }
  }

  override clear(): void {
    super.clear();
    this.#levels = [];
  }

  /** The extremes of the block of 2^`level` values that begins at `block` · 2^`level`; the last block may be incomplete. */
  extremes(block: number, level: number): Extremes {
    const size = 2 ** level;
    if ((block + 1) * size <= this.length) return this.#block(block, level);
    let found: Extremes = { least: -1, greatest: -1 };
    // What there is of it, in ever smaller complete blocks.
    let at = block * size;
    for (let smaller = level - 1; smaller >= 0; smaller--) {
      const step = 2 ** smaller;
      if (at + step > this.length) continue;
      found = this.#join(found, this.#block(at / step, smaller));
      at += step;
    }
    return found;
  }

  /** A complete block. */
  #block(block: number, level: number): Extremes {
    if (level === 0) {
      const index = Number.isFinite(this.at(block)) ? block : -1;
      return { least: index, greatest: index };
    }
    const indices = this.#levels[level - 1];
    return { least: indices?.least.at(block) ?? -1, greatest: indices?.greatest.at(block) ?? -1 };
  }

  /** @param left stands before `right` */
  #join(left: Extremes, right: Extremes): Extremes {
    if (left.least === -1) return right;
    if (right.least === -1) return left;
    return {
      least: this.at(right.least) < this.at(left.least) ? right.least : left.least,
      greatest: this.at(right.greatest) > this.at(left.greatest) ? right.greatest : left.greatest,
    };
  }
}
