import { Breather } from "../breathe";
import { CharacterPairs } from "../character-pairs";
import { mergePairs } from "../merge-pairs";
import type { SentencePieceModel } from "./model-file";
import type { Segmentation, Segmenter } from "./segmentation";
import type { UserSymbols } from "./user-symbols";

/** Words whose pieces are kept; they are forgotten all at once. */
const keptWords = 100_000;
const longestKept = 64;

/** SentencePiece's BPE (`bpe_model.cc`): the best score first, of equal ones the leftmost. */
export class BpeSegmenter implements Segmenter {
  readonly #model: SentencePieceModel;
  readonly #symbols: UserSymbols;
  /** What may come out of joining. */
  readonly #ranks = new Map<string, number>();
  readonly #ids = new Map<string, number>();
  readonly #unused = new Set<string>();
  readonly #pairs = new CharacterPairs();
  readonly #words = new Map<string, Segmentation>();

  constructor(model: SentencePieceModel, symbols: UserSymbols) {
    this.#model = model;
    this.#symbols = symbols;
    for (const [id, { piece, score, type }] of model.pieces.entries()) {
      const isReserved = type === "control" || type === "unknown" || type === "byte";
      // The reserved ones are looked up first.
      if (isReserved || !this.#ids.has(piece)) this.#ids.set(piece, id);
      if (isReserved) continue;
      this.#ranks.set(piece, -score);
      this.#pairs.add(piece);
      if (type === "unused") this.#unused.add(piece);
    }
  }

  async segment(normalized: string, signal?: AbortSignal): Promise<Segmentation> {
    // What an unused piece is taken apart into depends on what else is in the text.
    if (this.#unused.size > 0) return this.#join(normalized);
    const whole: Segmentation = { ids: [], lengths: [] };
    const breather = new Breather(signal);
    let start = 0;
    let previous = -1;
    const add = (end: number) => {
      const { ids, lengths } = this.#word(normalized.slice(start, end));
      for (const id of ids) whole.ids.push(id);
      for (const length of lengths) whole.lengths.push(length);
      start = end;
    };
    for (let at = 0; at < normalized.length; ) {
      const code = normalized.codePointAt(at) as number;
      if (at > 0 && !this.#pairs.has(previous, code)) {
        add(at);
        if (breather.isDue) await breather.pause();
      }
      previous = code;
      at += code > 0xffff ? 2 : 1;
    }
    if (start < normalized.length) add(normalized.length);
    return whole;
  }

  /** Nothing is joined over a word's ends. */
  #word(word: string): Segmentation {
    const known = this.#words.get(word);
    if (known) return known;
    const segmentation = this.#join(word);
    if (word.length <= longestKept) {
      if (this.#words.size >= keptWords) this.#words.clear();
      this.#words.set(word, segmentation);
    }
    return segmentation;
  }

  #join(text: string): Segmentation {
    const starts: number[] = [];
    const frozen: boolean[] = [];
    for (let at = 0; at < text.length; ) {
      starts.push(at);
      const symbol = this.#symbols.longest(text, at);
      frozen.push(symbol > 0);
      at += symbol || ((text.codePointAt(at) as number) > 0xffff ? 2 : 1);
    }
    const halves = new Map<string, [string, string]>();
    const joined = mergePairs(
      text,
      starts,
      {
        rank: (piece) => this.#ranks.get(piece),
        ...(this.#unused.size > 0
          ? {
              seen: (left: string, right: string) => {
                if (this.#unused.has(left + right)) halves.set(left + right, [left, right]);
              },
            }
          : {}),
      },
      frozen,
    );
    const segmentation: Segmentation = { ids: [], lengths: [] };
    const add = (piece: string) => {
      const apart = halves.get(piece);
      const id = this.#ids.get(piece) ?? this.#model.unknownId;
      if (apart && this.#model.pieces[id]?.type === "unused") for (const half of apart) add(half);
      else {
        segmentation.ids.push(id);
        segmentation.lengths.push(piece.length);
      }
    };
    for (const [index, start] of joined.entries()) add(text.slice(start, joined[index + 1]));
    return segmentation;
  }
}
