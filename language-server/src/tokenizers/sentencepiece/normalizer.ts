import { CharsmapTrie } from "./charsmap-trie";
import type { SentencePieceModel } from "./model-file";
import type { UserSymbols } from "./user-symbols";

export interface Normalized {
  readonly text: string;
  /** For every UTF-16 unit of `text`, and its end, where it comes from in the original, in UTF-16. */
  readonly origins: Uint32Array;
}

type NormalizerSpec = Pick<
  SentencePieceModel,
  "charsmap" | "addDummyPrefix" | "removeExtraWhitespaces" | "escapeWhitespaces" | "treatWhitespaceAsSuffix"
>;

/** SentencePiece's `Normalizer`: rules for characters, whitespace, and a space before the text. */
export class Normalizer {
  readonly #spec: NormalizerSpec;
  readonly #trie: CharsmapTrie | undefined;
  readonly #symbols: UserSymbols;

  constructor(spec: NormalizerSpec, symbols: UserSymbols) {
    this.#spec = spec;
    this.#trie = spec.charsmap.length > 0 ? new CharsmapTrie(spec.charsmap) : undefined;
    this.#symbols = symbols;
  }

  /**
   * @param original without lone surrogates
   * @param hasPrefix false leaves out the space that the model would add
   */
  normalize(original: string, hasPrefix = true): Normalized {
    const { removeExtraWhitespaces, treatWhitespaceAsSuffix } = this.#spec;
    const addsSpace = this.#spec.addDummyPrefix && hasPrefix;
    const space = this.#spec.escapeWhitespaces ? "▁" : " ";
    const output = new Output();
    const input = new Input(original, this.#trie, this.#symbols);
    if (removeExtraWhitespaces) while (!input.atEnd && input.peek() === " ") input.take();
    if (input.atEnd) return output.finish(0);
    if (!treatWhitespaceAsSuffix && addsSpace) output.append(space, input.position);
    let afterSpace = removeExtraWhitespaces;
    while (!input.atEnd) {
      let written = input.peek();
      if (afterSpace) written = written.replace(/^ +/, "");
      if (written !== "") {
        output.append(space === " " ? written : written.replaceAll(" ", space), input.position);
        afterSpace = removeExtraWhitespaces && written.endsWith(" ");
      }
      input.take();
    }
    let end = input.position;
    if (removeExtraWhitespaces) end = output.trimEnd(space, end);
    if (treatWhitespaceAsSuffix && addsSpace) output.append(space, end);
    return output.finish(end);
  }
}

/** What is left of the original. */
class Input {
  readonly #text: string;
  readonly #bytes: Uint8Array;
  readonly #trie: CharsmapTrie | undefined;
  readonly #symbols: UserSymbols;
  #byte = 0;
  #nextByte = 0;
  #nextPosition = 0;
  /** UTF-16. */
  position = 0;

  constructor(text: string, trie: CharsmapTrie | undefined, symbols: UserSymbols) {
    this.#text = text;
    this.#bytes = trie ? new TextEncoder().encode(text) : new Uint8Array(0);
    this.#trie = trie;
    this.#symbols = symbols;
  }

  get atEnd(): boolean {
    return this.position >= this.#text.length;
  }

  /** What is written for the next stretch, which `take` takes. */
  peek(): string {
    const symbol = this.#symbols.longest(this.#text, this.position);
    if (symbol > 0) return this.#stretch(symbol);
    if (this.#trie) {
      const { length, replacement } = this.#trie.longest(this.#bytes, this.#byte);
      if (length > 0) {
        this.#nextByte = this.#byte + length;
        this.#nextPosition = this.position + this.#units(this.#byte, this.#nextByte);
        return replacement;
      }
    }
    const code = this.#text.codePointAt(this.position) as number;
    return this.#stretch(code > 0xffff ? 2 : 1);
  }

  take(): void {
    this.position = this.#nextPosition;
    this.#byte = this.#nextByte;
  }

  #stretch(units: number): string {
    this.#nextPosition = this.position + units;
    const stretch = this.#text.slice(this.position, this.#nextPosition);
    if (this.#trie) this.#nextByte = this.#byte + Buffer.byteLength(stretch);
    return stretch;
  }

  /** UTF-16 units of some bytes: four bytes are a surrogate pair. */
  #units(from: number, to: number): number {
    let units = 0;
    for (let index = from; index < to; index++) {
      const byte = this.#bytes[index] as number;
      if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1;
    }
    return units;
  }
}

class Output {
  #parts: string[] = [];
  #origins = new Uint32Array(64);
  #length = 0;

  /** All of it comes from one place. */
  append(text: string, origin: number): void {
    this.#parts.push(text);
    const length = this.#length + text.length;
    if (length >= this.#origins.length) {
      const grown = new Uint32Array(2 * (length + 1));
      grown.set(this.#origins);
      this.#origins = grown;
    }
    this.#origins.fill(origin, this.#length, length);
    this.#length = length;
  }

  /** @returns where the text ends in the original after it */
  trimEnd(space: string, end: number): number {
    const text = this.#parts.join("");
    let length = text.length;
    while (length > 0 && text[length - 1] === space) length--;
    this.#parts = [text.slice(0, length)];
    const trimmed = length < this.#length;
    this.#length = length;
    return trimmed ? (this.#origins[length] as number) : end;
  }

  finish(end: number): Normalized {
    const text = this.#parts.join("");
    const origins = this.#origins.slice(0, text.length + 1);
    origins[text.length] = end;
    return { text, origins };
  }
}
