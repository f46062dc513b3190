import type { Encoded } from "./encoded";
import type { LoadedTokenizer } from "./tokenizer";

export interface CoveredCharacter {
  readonly character: string;
  /** How often it stands in the corpus. */
  readonly count: number;
  /** Its tokens: one that it shares with n − 1 other characters counts as 1/n. */
  readonly tokensPerCharacter: number;
  /** How often it was unknown. */
  readonly unknown: number;
}

interface Tally {
  count: number;
  tokens: number;
  unknown: number;
}

/** How many tokens a tokenizer takes for each character of a corpus. */
export class CharacterCoverage {
  readonly #tokenizer: LoadedTokenizer;
  readonly #tallies = new Map<number, Tally>();

  constructor(tokenizer: LoadedTokenizer) {
    this.#tokenizer = tokenizer;
  }

  add({ text, ids, spans }: Encoded): void {
    for (let at = 0; at < text.length; ) {
      const code = text.codePointAt(at) as number;
      this.#tally(code).count++;
      at += code > 0xffff ? 2 : 1;
    }
    for (const [index, id] of ids.entries()) {
      const start = spans[2 * index] as number;
      const end = spans[2 * index + 1] as number;
      if (start === end || this.#isMark(id, text, start)) continue;
      const isUnknown = id === this.#tokenizer.unknownId;
      const share = 1 / codePoints(text, start, end);
      for (let at = start; at < end; ) {
        const code = text.codePointAt(at) as number;
        const tally = this.#tally(code);
        tally.tokens += share;
        if (isUnknown) tally.unknown++;
        at += code > 0xffff ? 2 : 1;
      }
    }
  }

  /** Characters that are unknown come first, then those of the most tokens, and of these the frequent ones. */
  worst(limit: number): CoveredCharacter[] {
    return Array.from(this.#tallies, ([code, { count, tokens, unknown }]) => ({
      character: String.fromCodePoint(code),
      count,
      tokensPerCharacter: tokens / count,
      unknown,
    }))
      .sort(
        (left, right) =>
          right.unknown - left.unknown ||
          right.tokensPerCharacter - left.tokensPerCharacter ||
          right.count - left.count,
      )
      .slice(0, limit);
  }

  #tally(code: number): Tally {
    let tally = this.#tallies.get(code);
    if (!tally) {
      tally = { count: 0, tokens: 0, unknown: 0 };
      this.#tallies.set(code, tally);
    }
    return tally;
  }

  /** The mark of a word's start that the normaliser has put before a character is not the character's. */
  #isMark(id: number, text: string, start: number): boolean {
    return this.#tokenizer.token(id) === "▁" && text[start] !== " " && text[start] !== "▁";
  }
}

function codePoints(text: string, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; count++) at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
  return count;
}
