/**
 * Puts rows into packs of at most `capacity` tokens, best fit decreasing: the longest row first, each into the fullest pack
 * that still has room for it. TRL calls this `packing_strategy: bfd`. Takes O(n log capacity) and is deterministic: rows of
 * one length go in their order, and among packs with the same room the one that came to it last is taken.
 * @param lengths tokens of each row, 1 to `capacity`
 * @returns rows of each pack, by index
 */
export function packRows(lengths: readonly number[], capacity: number): number[][] {
  const packs: number[][] = [];
  const rooms = new RoomIndex(capacity);
  for (const row of byLengthDescending(lengths)) {
    const length = lengths[row] as number;
    if (!(length >= 1 && length <= capacity)) {
      throw new RangeError(`a row of ${length} tokens does not fit a pack of ${capacity}`);
    }
    const room = rooms.smallest(length);
    const pack = room === null ? packs.push([]) - 1 : rooms.take(room);
    packs[pack]?.push(row);
    rooms.put((room ?? capacity) - length, pack);
  }
  return packs;
}

function byLengthDescending(lengths: readonly number[]): Uint32Array {
  const rows = Uint32Array.from(lengths, (_, row) => row);
  return rows.sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
}

/** Packs by how much room they have; a segment tree over the rooms finds the smallest that is enough. */
class RoomIndex {
  readonly #packs = new Map<number, number[]>();
  /** Node i has the children 2i and 2i + 1; the leaf of room r is `#leaves + r`. 1: a pack of such room lies below. */
  readonly #some: Uint8Array;
  readonly #leaves: number;

  constructor(capacity: number) {
    this.#leaves = 2 ** Math.ceil(Math.log2(capacity + 1));
    this.#some = new Uint8Array(2 * this.#leaves);
  }

  put(room: number, pack: number): void {
    // Nothing fits into no room.
    if (room === 0) return;
    const packs = this.#packs.get(room);
    if (packs !== undefined) {
      packs.push(pack);
      if (packs.length > 1) return;
    } else this.#packs.set(room, [pack]);
    for (let node = this.#leaves + room; node >= 1 && this.#some[node] === 0; node >>= 1)
      this.#some[node] = 1;
  }

  /** The least room of any pack that is at least this. */
  smallest(least: number): number | null {
    let node = this.#leaves + least;
    if (this.#some[node] === 1) return least;
    // Up, until something lies to the right; then down, keeping left.
    while (node > 1 && ((node & 1) === 1 || this.#some[node + 1] === 0)) node >>= 1;
    if (node <= 1) return null;
    node++;
    while (node < this.#leaves) node = this.#some[2 * node] === 1 ? 2 * node : 2 * node + 1;
    return node - this.#leaves;
  }

  take(room: number): number {
    const packs = this.#packs.get(room);
    const pack = packs?.pop();
    if (pack === undefined) throw new RangeError(`no pack has room for ${room}`);
    if (packs?.length === 0) {
      let node = this.#leaves + room;
      this.#some[node] = 0;
      for (node >>= 1; node >= 1; node >>= 1) {
        this.#some[node] = (this.#some[2 * node] as number) | (this.#some[2 * node + 1] as number);
      }
    }
    return pack;
  }
}
