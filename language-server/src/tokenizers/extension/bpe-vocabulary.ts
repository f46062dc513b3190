/** A BPE vocabulary that grows: tokens, and merges in the order of their rank. */

/** Two ids in one number; both are below 2²⁴. */
const pairBase = 2 ** 24;

export class BpeVocabulary {
  readonly ids: Map<string, number>;
  readonly tokens = new Map<number, string>();
  /** Of pairs of ids. */
  readonly #merges = new Map<number, { rank: number; id: number }>();
  readonly #byteFallback: boolean;
  readonly #unknown: number | undefined;

  constructor(
    ids: ReadonlyMap<string, number>,
    merges: readonly (readonly [string, string])[],
    { byteFallback, unknown }: { byteFallback: boolean; unknown: string | undefined },
  ) {
    this.ids = new Map(ids);
    for (const [token, id] of ids) this.tokens.set(id, token);
    this.#byteFallback = byteFallback;
    this.#unknown = unknown === undefined ? undefined : ids.get(unknown);
    for (const [left, right] of merges) {
      const [a, b, merged] = [ids.get(left), ids.get(right), ids.get(left + right)];
      if (a !== undefined && b !== undefined && merged !== undefined) this.addMerge(a, b, merged);
    }
  }

  add(token: string, id: number): void {
    this.ids.set(token, id);
    this.tokens.set(id, token);
  }

  /** After all merges that are there. */
  addMerge(left: number, right: number, merged: number): void {
    this.#merges.set(left * pairBase + right, { rank: this.#merges.size, id: merged });
  }

  removeMerge(left: number, right: number): void {
    this.#merges.delete(left * pairBase + right);
  }

  /**
   * The ids of a stretch that no pre-tokenizer cuts, written as the vocabulary writes it: characters, or the bytes of those that it
   * lacks, merged in the order of the ranks. Characters that it cannot express at all are left out.
   */
  encode(written: string): number[] {
    const symbols = this.#symbolsOf(written);
    for (;;) {
      let best: { rank: number; id: number } | undefined;
      let at = 0;
      for (let index = 0; index + 1 < symbols.length; index++) {
        const merge = this.#merges.get(
          (symbols[index] as number) * pairBase + (symbols[index + 1] as number),
        );
        if (merge && (best === undefined || merge.rank < best.rank)) {
          best = merge;
          at = index;
        }
      }
      if (best === undefined) return symbols;
      symbols.splice(at, 2, best.id);
    }
  }

  #symbolsOf(written: string): number[] {
    const symbols: number[] = [];
    for (const character of written) {
      const id = this.ids.get(character);
      if (id !== undefined) {
        symbols.push(id);
        continue;
      }
      const bytes = this.#byteFallback ? this.#bytesOf(character) : undefined;
      if (bytes) symbols.push(...bytes);
      else if (this.#unknown !== undefined) symbols.push(this.#unknown);
    }
    return symbols;
  }

  #bytesOf(character: string): number[] | undefined {
    const ids: number[] = [];
    for (const byte of Buffer.from(character)) {
      const id = this.ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
      if (id === undefined) return undefined;
      ids.push(id);
    }
    return ids;
  }
}
