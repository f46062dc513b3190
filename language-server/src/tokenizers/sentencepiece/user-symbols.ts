/** A model's user-defined symbols: they are tokens wherever they stand, and are never normalised. */
export class UserSymbols {
  /** By their first UTF-16 unit, the longest first. */
  readonly #byFirst = new Map<number, string[]>();

  constructor(symbols: readonly string[]) {
    for (const symbol of symbols) {
      const first = symbol.charCodeAt(0);
      const some = this.#byFirst.get(first);
      if (some) some.push(symbol);
      else this.#byFirst.set(first, [symbol]);
    }
    for (const some of this.#byFirst.values()) some.sort((left, right) => right.length - left.length);
  }

  /** Length of the longest symbol at `from`, in UTF-16 units; 0 where there is none. */
  longest(text: string, from: number): number {
    if (this.#byFirst.size === 0) return 0;
    const some = this.#byFirst.get(text.charCodeAt(from));
    return some?.find((symbol) => text.startsWith(symbol, from))?.length ?? 0;
  }
}
