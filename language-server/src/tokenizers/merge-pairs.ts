/**
 * Byte-pair encoding as SentencePiece and tiktoken do it: of all neighbours that are a token together, those are joined whose
 * token comes first; of equals, those farthest to the left. (Hugging Face ranks the pairs instead, and so orders two
 * pairs that make the same token.)
 */

/** What joins to a token. */
export interface Merging {
  /** The smaller, the earlier; undefined for what is no token. */
  rank(token: string): number | undefined;
  /** Called with every two symbols that could be joined. */
  seen?(left: string, right: string): void;
}

/**
 * @param starts where each symbol of `text` begins, ascending from 0
 * @param isFrozen symbols that are never joined
 * @returns where each symbol begins in the end
 */
export function mergePairs(
  text: string,
  starts: readonly number[],
  merging: Merging,
  isFrozen?: readonly boolean[],
): number[] {
  const count = starts.length;
  const ends = new Int32Array(count);
  const previous = new Int32Array(count);
  const next = new Int32Array(count);
  for (let index = 0; index < count; index++) {
    ends[index] = starts[index + 1] ?? text.length;
    previous[index] = index - 1;
    next[index] = index + 1;
  }
  const queue = new PairQueue();
  const consider = (left: number, right: number) => {
    if (left < 0 || right >= count || isFrozen?.[left] || isFrozen?.[right]) return;
    const start = starts[left] as number;
    const end = ends[right] as number;
    const rank = merging.rank(text.slice(start, end));
    if (rank === undefined) return;
    queue.push(rank, left, right, end - start);
    merging.seen?.(text.slice(start, starts[right]), text.slice(starts[right], end));
  };
  for (let index = 1; index < count; index++) consider(index - 1, index);
  while (queue.pop()) {
    const { left, right, length } = queue;
    const start = starts[left] as number;
    // One of the two has been joined to another since.
    if (ends[left] === start || ends[right] === starts[right]) continue;
    if (next[left] !== right || (ends[right] as number) - start !== length) continue;
    ends[left] = ends[right] as number;
    ends[right] = starts[right] as number;
    const after = next[right] as number;
    next[left] = after;
    if (after < count) previous[after] = left;
    consider(previous[left] as number, left);
    consider(left, after);
  }
  const kept: number[] = [];
  for (let index = 0; index < count; index = next[index] as number) kept.push(starts[index] as number);
  return kept;
}

/** A binary heap of pairs, in arrays of numbers. */
class PairQueue {
  readonly #ranks: number[] = [];
  readonly #lefts: number[] = [];
  readonly #rights: number[] = [];
  readonly #lengths: number[] = [];
  /** Those of the pair that was popped last. */
  left = 0;
  right = 0;
  length = 0;

  push(rank: number, left: number, right: number, length: number): void {
    let at = this.#ranks.length;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#isBefore(rank, left, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, rank, left, right, length);
  }

  /** Takes the first; false when there is none. */
  pop(): boolean {
    const rank = this.#ranks.pop();
    if (rank === undefined) return false;
    const left = this.#lefts.pop() as number;
    const right = this.#rights.pop() as number;
    const length = this.#lengths.pop() as number;
    const size = this.#ranks.length;
    if (size === 0) {
      [this.left, this.right, this.length] = [left, right, length];
      return true;
    }
    this.left = this.#lefts[0] as number;
    this.right = this.#rights[0] as number;
    this.length = this.#lengths[0] as number;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (
        child + 1 < size &&
        this.#isBefore(this.#ranks[child + 1] as number, this.#lefts[child + 1] as number, child)
      ) {
        child++;
      }
      if (this.#isBefore(rank, left, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, rank, left, right, length);
    return true;
  }

  #isBefore(rank: number, left: number, other: number): boolean {
    const otherRank = this.#ranks[other] as number;
    return rank < otherRank || (rank === otherRank && left < (this.#lefts[other] as number));
  }

  #move(from: number, to: number): void {
    this.#put(
      to,
      this.#ranks[from] as number,
      this.#lefts[from] as number,
      this.#rights[from] as number,
      this.#lengths[from] as number,
    );
  }

  #put(at: number, rank: number, left: number, right: number, length: number): void {
    this.#ranks[at] = rank;
    this.#lefts[at] = left;
    this.#rights[at] = right;
    this.#lengths[at] = length;
  }
}
