import type { Encoding } from "tokenizers";
import { CodePointOffsets } from "../text/offsets";

/** One text as tokens. */
export class Encoded {
  readonly ids: Uint32Array;
  readonly #encoding: Encoding;
  readonly #name: (id: number) => string;
  #spans: Uint32Array | undefined;

  constructor(
    readonly text: string,
    encoding: Encoding,
    name: (id: number) => string,
  ) {
    this.ids = Uint32Array.from(encoding.getIds());
    this.#encoding = encoding;
    this.#name = name;
  }

  /**
   * Start and end of every token, one pair after the other, in UTF-16 offsets of `text`; never inside a surrogate
   * pair. Tokens may share a span: the bytes of one character do, and so does a word-start mark that the normaliser
   * has added before a character. Converted when first asked for.
   */
  get spans(): Uint32Array {
    this.#spans ??= utf16Spans(this.text, this.#encoding.getOffsets());
    return this.#spans;
  }

  /** The tokens as the vocabulary writes them, e.g. `▁the`, `<0xE9>`, `</s>`. */
  tokens(): string[] {
    return Array.from(this.ids, this.#name);
  }
}

function utf16Spans(text: string, offsets: number[][]): Uint32Array {
  const map = new CodePointOffsets(text);
  const plain = map.codePoints === text.length;
  const spans = new Uint32Array(2 * offsets.length);
  for (let index = 0; index < offsets.length; index++) {
    const [start, end] = offsets[index] as [number, number];
    spans[2 * index] = plain ? start : map.toUtf16(start);
    spans[2 * index + 1] = plain ? end : map.toUtf16(end);
  }
  return spans;
}
