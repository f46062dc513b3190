/** Hugging Face's Rust library as an encoder. */
import type { Encoding, Tokenizer as NativeTokenizer } from "tokenizers";
import { CodePointOffsets } from "../text/offsets";
import type { EncodeOptions, Encoder, TokenSequence } from "./encoder";
import { LongTextCutter } from "./long-text";
import type { TokenizerJson } from "./tokenizer-json";

/** Shorter texts are handed over as they are. In UTF-16 units, as are the two below. */
const longText = 20_000;
/** A long text is handed over in stretches of about this length, so many of them at once: a megabyte or so. */
const stretchLength = 2_000;
const stretchesAtOnce = 256;

export class NativeEncoder implements Encoder {
  readonly #native: NativeTokenizer;
  readonly #json: TokenizerJson;
  #cutter: LongTextCutter | null | undefined;

  constructor(native: NativeTokenizer, json: TokenizerJson) {
    this.#native = native;
    this.#json = json;
    this.vocabSize = native.getVocabSize(true);
  }

  readonly vocabSize: number;

  tokenToId(token: string): number | undefined {
    return this.#native.tokenToId(token) ?? undefined;
  }

  idToToken(id: number): string | undefined {
    return this.#native.idToToken(id) ?? undefined;
  }

  async encode(text: string, options: EncodeOptions): Promise<TokenSequence> {
    const cutter = text.length < longText ? null : await this.#longTextCutter();
    if (cutter) return this.#encodeLong(text, options, cutter);
    const encoding = await this.#native.encode(text, null, { addSpecialTokens: options.addSpecialTokens });
    return sequenceOf(text, encoding);
  }

  /** All cores work on the short ones together. */
  async encodeBatch(texts: readonly string[], options: EncodeOptions): Promise<TokenSequence[]> {
    const { addSpecialTokens } = options;
    const short = texts.filter((text) => text.length < longText);
    const encodings = short.length > 0 ? await this.#native.encodeBatch(short, { addSpecialTokens }) : [];
    const sequences: TokenSequence[] = [];
    let next = 0;
    for (const text of texts) {
      sequences.push(
        text.length < longText
          ? sequenceOf(text, encodings[next++] as Encoding)
          : await this.encode(text, options),
      );
    }
    return sequences;
  }

  async #longTextCutter(): Promise<LongTextCutter | null> {
    if (this.#cutter === undefined) {
      const { cutRules, addedTokens } = this.#json;
      const count = async (text: string) =>
        (await this.#native.encode(text, null, { addSpecialTokens: false })).getLength();
      this.#cutter = cutRules
        ? await LongTextCutter.of(cutRules, Object.keys(this.#native.getVocab(false)), addedTokens, count)
        : null;
    }
    return this.#cutter;
  }

  /**
   * The library's time grows faster than a text that it cannot split into words; cut where the tokens are the same, it is
   * linear, and every core has its part.
   */
  async #encodeLong(text: string, options: EncodeOptions, cutter: LongTextCutter): Promise<TokenSequence> {
    const stretches = cutter.cut(text, stretchLength);
    const ids: Uint32Array[] = [];
    const spans: (() => Uint32Array)[] = [];
    for (let first = 0; first < stretches.length; first += stretchesAtOnce) {
      options.signal?.throwIfAborted();
      const some = stretches.slice(first, first + stretchesAtOnce);
      const leading = (index: number) => (first + index === 0 ? 0 : cutter.leadTokens);
      const texts = some.map(({ start, end }, index) =>
        first + index === 0 ? text.slice(start, end) : cutter.lead + text.slice(start, end),
      );
      const encodings = await this.#native.encodeBatch(texts, { addSpecialTokens: false });
      for (const [index, encoding] of encodings.entries()) {
        const skipped = leading(index);
        const given = texts[index] as string;
        const shift = (some[index]?.start ?? 0) - (skipped > 0 ? cutter.lead.length : 0);
        ids.push(Uint32Array.from(encoding.getIds()).subarray(skipped));
        spans.push(() =>
          utf16Spans(given, encoding.getOffsets())
            .subarray(2 * skipped)
            .map((offset) => offset + shift),
        );
      }
    }
    if (options.addSpecialTokens) {
      const [before, after] = await this.#addedAround();
      ids.unshift(before);
      ids.push(after);
      spans.unshift(() => new Uint32Array(2 * before.length));
      spans.push(() => new Uint32Array(2 * after.length));
    }
    return { ids: concatenate(ids), spans: () => concatenate(spans.map((part) => part())) };
  }

  /** What the post-processor puts before and after a text. */
  async #addedAround(): Promise<[Uint32Array, Uint32Array]> {
    const encoding = await this.#native.encode("a", null, { addSpecialTokens: true });
    const added = encoding.getSpecialTokensMask();
    const first = added.indexOf(0);
    const last = added.lastIndexOf(0);
    const ids = Uint32Array.from(encoding.getIds());
    return [ids.subarray(0, first), ids.subarray(last + 1)];
  }
}

function sequenceOf(text: string, encoding: Encoding): TokenSequence {
  return {
    ids: Uint32Array.from(encoding.getIds()),
    spans: () => utf16Spans(text, encoding.getOffsets()),
  };
}

/** The library counts code points. */
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

export function concatenate(parts: readonly Uint32Array[]): Uint32Array {
  const whole = new Uint32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
