/** The rules by which a SentencePiece model writes one stretch of a text for another. */
export class CharsmapTrie {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #decoded = new Map<number, string>();

  /** @param charsmap one that `checkCharsmap` finds nothing wrong with */
  constructor(charsmap: Uint8Array) {
    const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.byteLength);
    const trieBytes = view.getUint32(0, true);
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, index) =>
      view.getUint32(4 + 4 * index, true),
    );
    this.#replacements = charsmap.subarray(4 + trieBytes);
  }

  /**
   * The longest rule for what stands at `from`.
   *
   * @param text in UTF-8
   * @returns how many bytes it takes, or 0 where there is none, and what is written for them
   */
  longest(text: Uint8Array, from: number): { length: number; replacement: string } {
    const units = this.#units;
    let at = offsetOf(units[0] as number);
    let length = 0;
    let value = 0;
    for (let index = from; index < text.length; index++) {
      const byte = text[index] as number;
      at ^= byte;
      const unit = units[at] as number;
      // A leaf is marked in the highest bit, and so is no byte's label.
      if ((unit & 0x800000ff) >>> 0 !== byte) break;
      at ^= offsetOf(unit);
      if ((unit >>> 8) & 1) {
        length = index + 1 - from;
        value = (units[at] as number) & 0x7fffffff;
      }
    }
    return { length, replacement: length > 0 ? this.#replacement(value) : "" };
  }

  #replacement(start: number): string {
    const known = this.#decoded.get(start);
    if (known !== undefined) return known;
    let end = this.#replacements.indexOf(0, start);
    if (end < 0) end = this.#replacements.length;
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      this.#replacements.subarray(start, end),
    );
    this.#decoded.set(start, text);
    return text;
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
