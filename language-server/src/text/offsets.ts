/**
 * Offsets of one text in the two units that meet here: UTF-16 code units (JavaScript, LSP) and code points (HF tokenizers).
 * A lone surrogate counts as one code point (U+FFFD), which is what it becomes when the text is handed to a tokenizer.
 */

const noAstral = new Uint32Array(0);

/** Code point ↔ UTF-16. A text inside the Basic Multilingual Plane costs one scan and no memory. */
export class CodePointOffsets {
  /** Code point index of every character that takes two code units, ascending. */
  readonly #astral: Uint32Array;
  readonly #length: number;

  constructor(text: string) {
    this.#length = text.length;
    this.#astral = astralCodePoints(text);
  }

  /** How many code points the text has. */
  get codePoints(): number {
    return this.#length - this.#astral.length;
  }

  /** UTF-16 offset of the code point with this index; past the end it is the text's length. */
  toUtf16(codePoint: number): number {
    if (codePoint >= this.codePoints) return this.#length;
    if (this.#astral.length === 0) return Math.max(0, codePoint);
    return Math.max(0, codePoint) + countBelow(this.#astral, codePoint);
  }

  /** Index of the code point at (or around) a UTF-16 offset: inside a surrogate pair it is the pair's. */
  toCodePoint(utf16: number): number {
    const offset = Math.max(0, Math.min(utf16, this.#length));
    const astral = this.#astral;
    // The pair number i starts at UTF-16 offset astral[i] + i; count the pairs that end at or before `offset`.
    let low = 0;
    let high = astral.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const start = (astral[middle] ?? 0) + middle;
      if (start + 2 <= offset) low = middle + 1;
      else high = middle;
    }
    const inside = low < astral.length && (astral[low] ?? 0) + low + 1 === offset;
    return offset - low - (inside ? 1 : 0);
  }
}

function astralCodePoints(text: string): Uint32Array {
  if (text.search(/[\ud800-\udbff][\udc00-\udfff]/) < 0) return noAstral;
  const found: number[] = [];
  for (let at = 0, codePoint = 0; at < text.length; at++, codePoint++) {
    if (isHighSurrogate(text.charCodeAt(at)) && isLowSurrogate(text.charCodeAt(at + 1))) {
      found.push(codePoint);
      at++;
    }
  }
  return Uint32Array.from(found);
}

function countBelow(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
