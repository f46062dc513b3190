/** A vocabulary of tiktoken as an encoder. */
import { Breather } from "../breathe";
import { inByteAlphabet } from "../byte-alphabet";
import type { EncodeOptions, Encoder, TokenSequence } from "../encoder";
import { mergePairs } from "../merge-pairs";
import { SpecialSplitter } from "../special-splitter";
import type { AddedTokenEntry } from "../vocabulary-facts";
import { compose } from "./composed-form";
import type { TiktokenEncoding } from "./encodings";

/** Words whose ids are kept; they are forgotten all at once. */
const keptWords = 100_000;
const longestKept = 64;

/** Tokens of a stretch of the text, in order. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly ids: readonly number[];
}

export class TiktokenEncoder implements Encoder {
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #names = new Map<number, string>();
  readonly #byNames = new Map<string, number>();
  /** Of every token, in bytes. */
  readonly #lengths: Uint32Array;
  readonly #encoding: TiktokenEncoding;
  readonly #splitter: SpecialSplitter;
  readonly #before: readonly number[];
  readonly #words = new Map<string, readonly number[]>();
  readonly #merging = { rank: (token: string) => this.#ranks.get(token) };

  /** @param addedTokens found where they are written in the text */
  constructor(
    ranks: ReadonlyMap<string, number>,
    encoding: TiktokenEncoding,
    addedTokens: readonly AddedTokenEntry[],
  ) {
    this.#ranks = ranks;
    this.#encoding = encoding;
    this.#splitter = new SpecialSplitter(addedTokens);
    this.vocabSize = [...ranks.values()].reduce((most, rank) => Math.max(most, rank), 0) + 1;
    this.#lengths = new Uint32Array(this.vocabSize);
    for (const [token, rank] of ranks) {
      const name = inByteAlphabet(Buffer.from(token, "latin1"));
      this.#names.set(rank, name);
      this.#byNames.set(name, rank);
      this.#lengths[rank] = token.length;
    }
    const bos = addedTokens.find(({ content }) => content === encoding.bos);
    this.#before = bos ? [bos.id] : [];
  }

  readonly vocabSize: number;

  tokenToId(token: string): number | undefined {
    return this.#byNames.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#names.get(id);
  }

  async encode(given: string, options: EncodeOptions): Promise<TokenSequence> {
    const text = given.toWellFormed();
    const composed = this.#encoding.nfc ? compose(text) : undefined;
    const read = composed?.text ?? text;
    const runs: Run[] = [];
    if (options.addSpecialTokens) runs.push({ start: 0, end: 0, ids: this.#before });
    const parts = options.ordinary
      ? [{ start: 0, end: read.length, id: undefined }]
      : this.#splitter.split(read);
    const breather = new Breather(options.signal);
    for (const { start, end, id } of parts) {
      if (id !== undefined) {
        runs.push({ start, end, ids: [id] });
        continue;
      }
      const ids: number[] = [];
      for (const [word] of read.slice(start, end).matchAll(this.#encoding.pattern)) {
        for (const token of this.#word(word)) ids.push(token);
        if (breather.isDue) await breather.pause();
      }
      runs.push({ start, end, ids });
    }
    return {
      ids: Uint32Array.from(runs.flatMap(({ ids }) => ids)),
      spans: () => {
        const spans = this.#spansOf(runs, read);
        return composed ? spans.map((offset) => composed.origins[offset] as number) : spans;
      },
    };
  }

  async encodeBatch(texts: readonly string[], options: EncodeOptions): Promise<TokenSequence[]> {
    const sequences: TokenSequence[] = [];
    for (const text of texts) sequences.push(await this.encode(text, options));
    return sequences;
  }

  #word(word: string): readonly number[] {
    const known = this.#words.get(word);
    if (known) return known;
    const bytes = Buffer.from(word, "utf8").toString("latin1");
    const ids = this.#join(bytes);
    if (word.length <= longestKept) {
      if (this.#words.size >= keptWords) this.#words.clear();
      this.#words.set(word, ids);
    }
    return ids;
  }

  #join(bytes: string): readonly number[] {
    const whole = this.#ranks.get(bytes);
    if (whole !== undefined) return [whole];
    const starts = mergePairs(
      bytes,
      Array.from({ length: bytes.length }, (_, index) => index),
      this.#merging,
    );
    return starts.map((start, index) => this.#ranks.get(bytes.slice(start, starts[index + 1])) as number);
  }

  /** A token that begins or ends inside a character has the whole character. */
  #spansOf(runs: readonly Run[], text: string): Uint32Array {
    const spans: number[] = [];
    for (const { start, end, ids } of runs) {
      if (ids.length === 1 || start === end) {
        for (const _ of ids) spans.push(start, end);
        continue;
      }
      let at = start;
      /** Bytes of the character at `at` that earlier tokens have. */
      let inside = 0;
      for (const id of ids) {
        spans.push(at);
        let left = (this.#lengths[id] as number) + inside;
        let last = at;
        while (left > 0) {
          const code = text.codePointAt(at) as number;
          const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
          last = at + (size === 4 ? 2 : 1);
          if (size > left) break;
          left -= size;
          at = last;
        }
        inside = left;
        spans.push(last);
      }
    }
    return Uint32Array.from(spans);
  }
}
