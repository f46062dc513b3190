/**
 * Offsets of one text in the three units that meet here: UTF-16 code units (JavaScript, LSP), code points (HF
 * tokenizers) and UTF-8 bytes (files). A lone surrogate counts as one code point of three bytes (U+FFFD), which is
 * what it becomes when the text is handed to a tokenizer or written to a file.
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

/** Code units between two remembered places of a `ByteOffsets`. */
const stride = 1024;

/** UTF-8 byte ↔ UTF-16. An ASCII text costs one scan; else a byte offset is remembered every 1024 code units. */
export class ByteOffsets {
  readonly #text: string;
  /** Byte offset at code unit `i * stride`; absent for an ASCII text. */
  readonly #bytes: Float64Array | undefined;
  readonly byteLength: number;

  constructor(text: string) {
    this.#text = text;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the class is "anything but ASCII".
    if (text.search(/[^\x00-\x7f]/) < 0) {
      this.byteLength = text.length;
      return;
    }
    const bytes = new Float64Array(Math.floor(text.length / stride) + 1);
    let total = 0;
    for (let at = 0; at < text.length; at++) {
      if (at % stride === 0) bytes[at / stride] = total;
      total += unitBytes(text, at);
    }
    if (text.length % stride === 0) bytes[text.length / stride] = total;
    this.#bytes = bytes;
    this.byteLength = total;
  }

  /** Byte offset of a UTF-16 offset; inside a surrogate pair it is the byte after the pair's first two. */
  toByte(utf16: number): number {
    const offset = Math.max(0, Math.min(utf16, this.#text.length));
    if (!this.#bytes) return offset;
    const mark = Math.floor(offset / stride);
    let total = this.#bytes[mark] ?? 0;
    for (let at = mark * stride; at < offset; at++) total += unitBytes(this.#text, at);
    return total;
  }

  /** UTF-16 offset of the character that holds a byte. */
  toUtf16(byte: number): number {
    const wanted = Math.max(0, Math.min(byte, this.byteLength));
    if (!this.#bytes) return wanted;
    let low = 0;
    let high = this.#bytes.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#bytes[middle] ?? 0) <= wanted) low = middle;
      else high = middle - 1;
    }
    let at = low * stride;
    let total = this.#bytes[low] ?? 0;
    while (at < this.#text.length) {
      const next = total + unitBytes(this.#text, at);
      if (next > wanted) break;
      total = next;
      at++;
    }
    const pair =
      at > 0 && isLowSurrogate(this.#text.charCodeAt(at)) && isHighSurrogate(this.#text.charCodeAt(at - 1));
    return pair ? at - 1 : at;
  }
}

/** UTF-8 bytes of one code unit; each half of a surrogate pair counts two of the pair's four. */
function unitBytes(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (isHighSurrogate(unit)) return isLowSurrogate(text.charCodeAt(at + 1)) ? 2 : 3;
  if (isLowSurrogate(unit)) return isHighSurrogate(text.charCodeAt(at - 1)) ? 2 : 3;
  return 3;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
