/**
 * What a tokenizer makes of a text, in numbers. Characters are code points, bytes those of UTF-8. Rates are shares of all
 * tokens: of those that hold only a part of a character (`<0xE4>`, or a token of a byte-level vocabulary that is no whole
 * characters), and of those that stand for characters which the vocabulary cannot express.
 */
import type { Encoded } from "./encoded";
import type { LoadedTokenizer } from "./tokenizer";

export interface Figures {
  readonly characters: number;
  readonly bytes: number;
  /** Gold words, where they are known. */
  readonly words: number | undefined;
  readonly tokens: number;
  readonly byteTokens: number;
  readonly unknownTokens: number;
  /** Special tokens that were added or written in the text; part of `tokens`. */
  readonly specialTokens: number;
}

/** Figures that are summed up, text by text. */
export class FigureSum {
  characters = 0;
  bytes = 0;
  /** Unknown as soon as one text's are: tokens are those of every text. */
  words: number | undefined;
  tokens = 0;
  byteTokens = 0;
  unknownTokens = 0;
  specialTokens = 0;
  #isFirst = true;

  addText(text: TextSize): void {
    this.characters += text.characters;
    this.bytes += text.bytes;
    const before = this.#isFirst ? 0 : this.words;
    this.words = before === undefined || text.words === undefined ? undefined : before + text.words;
    this.#isFirst = false;
  }

  addTokens(ids: Uint32Array, tokenizer: LoadedTokenizer): void {
    this.tokens += ids.length;
    const { unknownId } = tokenizer;
    for (const id of ids) {
      if (id === unknownId) {
        this.unknownTokens++;
        continue;
      }
      const kind = tokenizer.kind(id);
      if (kind === "byte") this.byteTokens++;
      else if (kind === "special") this.specialTokens++;
    }
  }

  toFigures(): Figures {
    return { ...this };
  }
}

/** Figures of one text's tokens. */
export function figuresOf(encoded: Encoded, tokenizer: LoadedTokenizer): Figures {
  const sum = new FigureSum();
  sum.addText(sizeOf(encoded.text));
  sum.addTokens(encoded.ids, tokenizer);
  return sum.toFigures();
}

export interface TextSize {
  readonly characters: number;
  readonly bytes: number;
  readonly words?: number | undefined;
}

/** A lone surrogate counts as U+FFFD, which tokenizers get in its place. */
export function sizeOf(text: string): TextSize {
  let characters = 0;
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    characters++;
    if (unit < 0x80) bytes++;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit <= 0xdbff && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      at++;
    } else bytes += 3;
  }
  return { characters, bytes };
}

/** Gold words per token: the paper's efficiency. Undefined where words are not known or there are no tokens. */
export function efficiencyOf({ words, tokens }: Figures): number | undefined {
  return words === undefined || tokens === 0 ? undefined : words / tokens;
}

/** 0 where there are no tokens. */
export function perToken(amount: number, { tokens }: Figures): number {
  return tokens === 0 ? 0 : amount / tokens;
}
