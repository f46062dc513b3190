/** A SentencePiece model as an encoder: the ids are those of Google's library, which Hugging Face's cannot give in all cases. */
import type { EncodeOptions, Encoder, TokenSequence } from "../encoder";
import { GrowingSequence } from "../growing-sequence";
import { SpecialSplitter } from "../special-splitter";
import type { AddedTokenEntry } from "../vocabulary-facts";
import { BpeSegmenter } from "./bpe";
import type { SentencePieceModel } from "./model-file";
import { Normalizer } from "./normalizer";
import type { Segmenter } from "./segmentation";
import { UnigramSegmenter } from "./unigram";
import { UserSymbols } from "./user-symbols";

export interface SentencePieceOptions {
  /** Found where they are written in the text. */
  readonly addedTokens: readonly AddedTokenEntry[];
  /** Added before and after a text. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /**
   * Whether the text after a special token gets a space before it as the text's beginning does: so in transformers'
   * `legacy` behaviour.
   */
  readonly prefixAfterSpecial: boolean;
}

const utf8 = new TextEncoder();

export class SentencePieceEncoder implements Encoder {
  readonly #model: SentencePieceModel;
  readonly #options: SentencePieceOptions;
  readonly #normalizer: Normalizer;
  readonly #segmenter: Segmenter;
  readonly #splitter: SpecialSplitter;
  readonly #ids: ReadonlyMap<string, number>;
  /** By byte. */
  readonly #byteIds: readonly number[];

  constructor(model: SentencePieceModel, options: SentencePieceOptions) {
    this.#model = model;
    this.#options = options;
    const symbols = new UserSymbols(
      model.pieces.filter(({ type }) => type === "user-defined").map(({ piece }) => piece),
    );
    this.#normalizer = new Normalizer(model, symbols);
    this.#segmenter =
      model.algorithm === "BPE" ? new BpeSegmenter(model, symbols) : new UnigramSegmenter(model);
    this.#splitter = new SpecialSplitter(options.addedTokens);
    this.#ids = new Map(model.pieces.map(({ piece }, id) => [piece, id]));
    this.#byteIds = Array.from(
      { length: 256 },
      (_, byte) => this.#ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`) ?? 0,
    );
  }

  get vocabSize(): number {
    return this.#model.pieces.length;
  }

  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#model.pieces[id]?.piece;
  }

  async encode(given: string, options: EncodeOptions): Promise<TokenSequence> {
    const text = given.toWellFormed();
    const sequence = new GrowingSequence();
    const { before, after, prefixAfterSpecial } = this.#options;
    if (options.addSpecialTokens) for (const id of before) sequence.push(id, 0, 0);
    const parts = options.ordinary
      ? [{ start: 0, end: text.length, id: undefined }]
      : this.#splitter.split(text);
    for (const { start, end, id } of parts) {
      if (id !== undefined) sequence.push(id, start, end);
      else {
        const hasPrefix = start === 0 || prefixAfterSpecial;
        await this.#encodePart(text.slice(start, end), start, hasPrefix, sequence, options.signal);
      }
    }
    if (options.addSpecialTokens) for (const id of after) sequence.push(id, text.length, text.length);
    return { ids: sequence.ids, spans: () => sequence.spans() };
  }

  async encodeBatch(texts: readonly string[], options: EncodeOptions): Promise<TokenSequence[]> {
    const sequences: TokenSequence[] = [];
    for (const text of texts) sequences.push(await this.encode(text, options));
    return sequences;
  }

  async #encodePart(
    part: string,
    shift: number,
    hasPrefix: boolean,
    sequence: GrowingSequence,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { text, origins } = this.#normalizer.normalize(part, hasPrefix);
    const { ids, lengths } = await this.#segmenter.segment(text, signal);
    const { unknownId, byteFallback } = this.#model;
    let at = 0;
    let afterUnknown = false;
    for (const [index, id] of ids.entries()) {
      const length = lengths[index] as number;
      const start = shift + (origins[at] as number);
      const end = shift + (origins[at + length] as number);
      const isUnknown = id === unknownId;
      if (!isUnknown) sequence.push(id, start, end);
      else if (byteFallback) {
        for (const byte of utf8.encode(text.slice(at, at + length)))
          sequence.push(this.#byteIds[byte] as number, start, end);
      } else if (afterUnknown) sequence.extend(end);
      else sequence.push(id, start, end);
      afterUnknown = isUnknown;
      at += length;
    }
  }
}
