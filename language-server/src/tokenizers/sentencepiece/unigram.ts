import { Breather } from "../breathe";
import type { SentencePieceModel } from "./model-file";
import type { Segmentation, Segmenter } from "./segmentation";

/** As `unigram_model.cc`: an unknown character is so much worse than the worst piece. */
const unknownPenalty = 10;

/** As measured on SentencePiece 0.2.3: a user-defined symbol of n bytes has a score of (n − 1) / 10, whatever the model says. */
const userSymbolScore = 0.1;

/** As measured, too: sums are counted from 0 again when they are below this, where float32 has lost two decimals. */
const lowestSum = -100_000;

const isInside = -1;

/**
 * SentencePiece's unigram model, `EncodeOptimized` of `unigram_model.cc`: the path of the best sum of scores. The sums are
 * float32, as SentencePiece's: over a long text their rounding decides between paths.
 */
export class UnigramSegmenter implements Segmenter {
  readonly #model: SentencePieceModel;
  readonly #scores: Float64Array;
  readonly #unknownScore: number;
  /** Every piece's id, and `isInside` for what pieces begin with. */
  readonly #trie = new Map<string, number>();

  constructor(model: SentencePieceModel) {
    this.#model = model;
    const normal = model.pieces.filter(({ type }) => type === "normal").map(({ score }) => score);
    const least = normal.reduce((left, right) => Math.min(left, right), 3.4028234663852886e38);
    const most = normal.reduce((left, right) => Math.max(left, right), userSymbolScore);
    this.#unknownScore = Math.fround(least - unknownPenalty);
    this.#scores = new Float64Array(model.pieces.length);
    for (const [id, { piece, score, type }] of model.pieces.entries()) {
      if (type === "control" || type === "unknown" || type === "byte") continue;
      // So good that a user-defined symbol is nearly always chosen.
      this.#scores[id] =
        type === "user-defined" ? Math.fround(Buffer.byteLength(piece) * most) - userSymbolScore : score;
      for (let end = 1; end < piece.length; end++) {
        const beginning = piece.slice(0, end);
        if (!this.#trie.has(beginning)) this.#trie.set(beginning, isInside);
      }
      this.#trie.set(piece, id);
    }
  }

  async segment(text: string, signal?: AbortSignal): Promise<Segmentation> {
    const size = text.length;
    const best = new Float32Array(size + 1);
    const startOf = new Int32Array(size + 1).fill(-1);
    const idOf = new Int32Array(size + 1);
    let farthest = 0;
    const reach = (end: number, start: number, id: number, score: number) => {
      if (startOf[end] !== -1 && score <= (best[end] as number)) return;
      best[end] = score;
      startOf[end] = start;
      if (end > farthest) farthest = end;
      idOf[end] = id;
    };
    const breather = new Breather(signal);
    for (let start = 0; start < size; ) {
      if ((best[start] as number) < lowestSum) {
        const sum = best[start] as number;
        for (let end = start; end <= farthest; end++)
          if (startOf[end] !== -1) best[end] = (best[end] as number) - sum;
      }
      const until = best[start] as number;
      const step = (text.codePointAt(start) as number) > 0xffff ? 2 : 1;
      let hasSingle = false;
      for (let end = start + 1; end <= size; end++) {
        const id = this.#trie.get(text.slice(start, end));
        if (id === undefined) break;
        if (id === isInside || this.#model.pieces[id]?.type === "unused") continue;
        reach(end, start, id, Math.fround((this.#scores[id] as number) + until));
        if (end - start === step) hasSingle = true;
      }
      if (!hasSingle)
        reach(start + step, start, this.#model.unknownId, Math.fround(this.#unknownScore + until));
      start += step;
      if (start % 4096 < step && breather.isDue) await breather.pause();
    }
    const ids: number[] = [];
    const lengths: number[] = [];
    for (let end = size; end > 0; end = startOf[end] as number) {
      ids.push(idOf[end] as number);
      lengths.push(end - (startOf[end] as number));
    }
    return { ids: ids.reverse(), lengths: lengths.reverse() };
  }
}
