/** Appends trained tokens to a base vocabulary so that text without their characters is tokenised as before. */
import type { BaseTokenizer } from "./base-tokenizer";
import type { BpeVocabulary } from "./bpe-vocabulary";
import { isWithin, type ScriptCharacters } from "./scripts";

export interface AppendedToken {
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly token: string;
}

export interface Extension {
  /** In the order of their ids, which follow the base's. */
  readonly added: readonly AppendedToken[];
  /** Those of `added` that were not trained: bytes that lead to a character that the base has in three pieces or more. */
  readonly intermediate: number;
  /** Merges after all of the base's, as the vocabulary writes tokens. */
  readonly merges: readonly (readonly [string, string])[];
  /** Trained tokens that the base has already. */
  readonly shared: readonly string[];
  /** Trained tokens with a character of another script, or without one of the scripts asked for. */
  readonly otherScript: readonly string[];
  /** Trained tokens that the base's own merges keep from coming about. */
  readonly unreachable: readonly string[];
  /** The base's vocabulary with what was appended. */
  readonly vocabulary: BpeVocabulary;
}

/**
 * A token is appended with the merge of the two pieces that its text has so far, after all merges of the base. A merge can only act
 * where its token's text stands; every appended token holds a character of the scripts, so other text meets none of them.
 *
 * @param trained in the order in which they were trained, the shorter ones that a token is made of before it
 * @param characters what appended tokens are made of
 */
export function extendVocabulary(
  base: BaseTokenizer,
  trained: readonly string[],
  characters: ScriptCharacters,
): Extension {
  const { vocabulary } = base;
  const isCharacter = isWithin(characters.characters);
  const isPunctuation = isWithin(characters.punctuation);
  const belongs = (text: string) => {
    const inside = [
      ...(text.startsWith(base.wordStart.mark) ? text.slice(base.wordStart.mark.length) : text),
    ];
    if (inside.length === 1 && isPunctuation(text)) return true;
    return inside.length > 0 && inside.every(isCharacter);
  };
  const growing = new Growing(vocabulary, base.size);
  const shared: string[] = [];
  const otherScript: string[] = [];
  const unreachable: string[] = [];
  for (const text of trained) {
    const token = base.toVocabulary(text);
    if (vocabulary.ids.has(token)) shared.push(text);
    else if (!belongs(text)) otherScript.push(text);
    else if (!growing.append(token, [...text].length === 1)) unreachable.push(text);
  }
  const { added, merges, intermediate } = growing;
  return { added, merges, intermediate, shared, otherScript, unreachable, vocabulary };
}

class Growing {
  readonly added: AppendedToken[] = [];
  readonly merges: [string, string][] = [];
  intermediate = 0;

  constructor(
    readonly vocabulary: BpeVocabulary,
    /** Of the next token. */
    private next: number,
  ) {}

  /** Whether the token comes about from now on; nothing has changed if not. */
  append(token: string, isCharacter: boolean): boolean {
    // A character that is looked up before its bytes are needs no merge.
    if ([...token].length === 1) {
      this.#add(token);
      return true;
    }
    const merged: [number, number][] = [];
    const before = this.merges.length;
    for (;;) {
      const pieces = this.vocabulary.encode(token);
      const texts = pieces.map((id) => this.vocabulary.tokens.get(id) ?? "");
      if (texts.join("") !== token) break;
      if (pieces.length === 2) {
        const [left, right] = pieces as [number, number];
        this.#merge(left, right, this.#add(token));
        return true;
      }
      const at = this.#mergeable(texts);
      if (at !== undefined) {
        const pair: [number, number] = [pieces[at] as number, pieces[at + 1] as number];
        this.#merge(...pair, this.vocabulary.ids.get(`${texts[at]}${texts[at + 1]}`) as number);
        merged.push(pair);
      } else if (isCharacter && pieces.length > 2) {
        // The bytes of one character: its first two pieces become a token that leads to it.
        const [left, right] = pieces as [number, number];
        this.#merge(left, right, this.#add(`${texts[0]}${texts[1]}`));
        this.intermediate++;
      } else break;
    }
    for (const [left, right] of merged) this.vocabulary.removeMerge(left, right);
    this.merges.length = before;
    return false;
  }

  /** Where two pieces stand whose text is a token: the base's merges led elsewhere. */
  #mergeable(texts: readonly string[]): number | undefined {
    for (let at = 0; at + 1 < texts.length; at++) {
      if (this.vocabulary.ids.has(`${texts[at]}${texts[at + 1]}`)) return at;
    }
    return undefined;
  }

  #add(token: string): number {
    const id = this.next++;
    this.vocabulary.add(token, id);
    this.added.push({ id, token });
    return id;
  }

  #merge(left: number, right: number, merged: number): void {
    this.vocabulary.addMerge(left, right, merged);
    this.merges.push([this.vocabulary.tokens.get(left) ?? "", this.vocabulary.tokens.get(right) ?? ""]);
  }
}
