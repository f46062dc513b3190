/**
 * Which two characters stand beside each other inside some token. Between two others, a token always ends: no merge of BPE
 * can reach over such a place, so that the text on either side is tokenised as if the other were not there.
 */
export class CharacterPairs {
  readonly #pairs = new Set<number>();
  readonly #inLonger = new Set<number>();

  /** Adds every pair of a token's characters. */
  add(token: string): void {
    let previous = -1;
    for (const character of token) {
      const code = character.codePointAt(0) as number;
      if (previous >= 0) {
        this.#pairs.add(pairOf(previous, code));
        this.#inLonger.add(previous);
        this.#inLonger.add(code);
      }
      previous = code;
    }
  }

  /** Whether some token holds these two code points, one after the other. */
  has(first: number, second: number): boolean {
    return this.#pairs.has(pairOf(first, second));
  }

  /** Whether a character stands in no token beside another. */
  standsAlone(code: number): boolean {
    return !this.#inLonger.has(code);
  }
}

/** Code points are below 2²¹. */
function pairOf(first: number, second: number): number {
  return first * 0x200000 + second;
}
