/** Where a long text may be cut so that its parts have the tokens that the whole has. */

import { CharacterPairs } from "./character-pairs";
import { asObject, type JsonObject } from "./json-object";
import type { AddedTokenEntry } from "./vocabulary-facts";

export interface Stretch {
  readonly start: number;
  readonly end: number;
}

/**
 * For BPE that takes a text as one word, as the `tokenizer.json` of Llama 2 and Gemma do: their normaliser writes `▁` for
 * every space and nothing splits the text. A cut is made between two characters that no token and no added token
 * holds side by side, and of which the first is a token or bytes, so that it is not fused with another unknown one.
 *
 * Where the normaliser puts a `▁` before a text, every part but the first is given a lead: a character that is in no
 * token beside another. Its tokens, and the mark's, are taken off again.
 */
export class LongTextCutter {
  readonly #rules: CutRules;
  readonly #pairs: CharacterPairs;
  readonly #isKnown: (code: number) => boolean;
  /** After an added token the library begins anew, so a text's part must not begin there. */
  readonly #lastOfAdded: ReadonlySet<number>;

  private constructor(
    rules: CutRules,
    pairs: CharacterPairs,
    isKnown: (code: number) => boolean,
    lastOfAdded: ReadonlySet<number>,
    readonly lead: string,
    /** Tokens of `lead`. */
    readonly leadTokens: number,
  ) {
    this.#rules = rules;
    this.#pairs = pairs;
    this.#isKnown = isKnown;
    this.#lastOfAdded = lastOfAdded;
  }

  /**
   * @param vocabulary the model's tokens
   * @param count the number of tokens of a text
   * @returns null where no lead can be found
   */
  static async of(
    rules: CutRules,
    vocabulary: readonly string[],
    addedTokens: readonly AddedTokenEntry[],
    count: (text: string) => Promise<number>,
  ): Promise<LongTextCutter | null> {
    const pairs = new CharacterPairs();
    const single = new Set<number>();
    let bytes = 0;
    for (const token of vocabulary) {
      pairs.add(token);
      const code = token.codePointAt(0);
      if (code !== undefined && String.fromCodePoint(code) === token) single.add(code);
      else if (rules.byteFallback && isByteToken(token)) bytes++;
    }
    const lastOfAdded = new Set<number>();
    for (const { content } of addedTokens) {
      pairs.add(content);
      pairs.add(rules.prefix + (rules.hasSpaceMark ? content.replaceAll(" ", "▁") : content));
      lastOfAdded.add([...content].at(-1)?.codePointAt(0) ?? -1);
    }
    // Unknown characters beside each other would be fused, unless they become bytes.
    const isKnown = bytes === 256 ? () => true : (code: number) => single.has(code);
    if (rules.prefix === "") return new LongTextCutter(rules, pairs, isKnown, lastOfAdded, "", 0);
    for (const code of single) {
      if (!pairs.standsAlone(code) || lastOfAdded.has(code) || code === 0x20) continue;
      const lead = String.fromCodePoint(code);
      return new LongTextCutter(rules, pairs, isKnown, lastOfAdded, lead, await count(lead));
    }
    return null;
  }

  /** Stretches of about `length` UTF-16 units; longer where there is no place to cut. They cover the text. */
  cut(text: string, length: number): Stretch[] {
    const stretches: Stretch[] = [];
    let start = 0;
    let previous = -1;
    for (let at = 0; at < text.length; ) {
      const code = text.codePointAt(at) as number;
      const written = code === 0x20 && this.#rules.hasSpaceMark ? 0x2581 : code;
      if (at - start >= length && this.#isPlace(previous, written)) {
        stretches.push({ start, end: at });
        start = at;
      }
      previous = written;
      at += code > 0xffff ? 2 : 1;
    }
    stretches.push({ start, end: text.length });
    return stretches;
  }

  #isPlace(before: number, after: number): boolean {
    return !this.#pairs.has(before, after) && this.#isKnown(before) && !this.#lastOfAdded.has(before);
  }
}

/** What a tokenizer does to a text before BPE. */
export interface CutRules {
  readonly byteFallback: boolean;
  /** Whether spaces are written `▁`. */
  readonly hasSpaceMark: boolean;
  /** What the normaliser puts before every text. */
  readonly prefix: string;
}

/** @returns null where a cut might change a token, or where the library splits texts itself */
export function cutRulesOf(root: JsonObject, addedTokens: readonly AddedTokenEntry[]): CutRules | null {
  const model = asObject(root.model);
  const isPlainBpe =
    (model.type === "BPE" || model.type === undefined) &&
    !model.dropout &&
    !model.continuing_subword_prefix &&
    !model.end_of_word_suffix &&
    model.ignore_merges !== true;
  if (!isPlainBpe || root.pre_tokenizer) return null;
  if (addedTokens.some((token) => token.leftStrip || token.rightStrip || token.singleWord)) return null;
  const normalizer = asObject(root.normalizer);
  const parts = normalizer.type === "Sequence" ? normalizer.normalizers : root.normalizer ? [normalizer] : [];
  if (!Array.isArray(parts)) return null;
  let prefix = "";
  let hasSpaceMark = false;
  for (const part of parts.map(asObject)) {
    if (part.type === "Prepend" && part.prepend === "▁" && prefix === "") prefix = "▁";
    else if (part.type === "Replace" && asObject(part.pattern).String === " " && part.content === "▁")
      hasSpaceMark = true;
    else return null;
  }
  const byteFallback = model.byte_fallback === true;
  // A merge of bytes would reach over any place between two characters that are bytes.
  if (byteFallback && Array.isArray(model.merges) && model.merges.some(mergesBytes)) return null;
  return { byteFallback, hasSpaceMark, prefix };
}

function mergesBytes(merge: unknown): boolean {
  const [first, second] = Array.isArray(merge) ? merge : String(merge).split(" ");
  return isByteToken(first) || isByteToken(second);
}

/** `<0x00>` … `<0xFF>` */
export function isByteToken(token: unknown): boolean {
  return typeof token === "string" && token.length === 6 && /^<0x[\dA-F]{2}>$/.test(token);
}
