/** What an extension does to texts: how many tokens they take, and whether they are tokenised as before. */
import type { PlainEncoder } from "./plain-encoder";

/** So many texts are encoded at once. */
const batchSize = 512;

export interface TokenCounts {
  texts: number;
  /** Code points. */
  characters: number;
  /** As the treebank counts them; null where it is not known. */
  words: number | null;
  tokens_before: number;
  tokens_after: number;
}

export interface MeasuredText {
  readonly text: string;
  readonly words: number | undefined;
}

export async function countTokens(
  texts: AsyncIterable<MeasuredText> | Iterable<MeasuredText>,
  before: PlainEncoder,
  after: PlainEncoder,
  onTexts: (texts: number) => void = () => {},
): Promise<TokenCounts> {
  const counts: TokenCounts = { texts: 0, characters: 0, words: 0, tokens_before: 0, tokens_after: 0 };
  for await (const batch of batches(texts)) {
    const lines = batch.map(({ text }) => text);
    counts.texts += batch.length;
    for (const { text, words } of batch) {
      counts.characters += [...text].length;
      counts.words = words === undefined || counts.words === null ? null : counts.words + words;
    }
    counts.tokens_before += tokensIn(await before.encode(lines));
    counts.tokens_after += tokensIn(await after.encode(lines));
    onTexts(counts.texts);
  }
  if (counts.words === 0) counts.words = null;
  return counts;
}

function tokensIn(encoded: readonly (readonly number[])[]): number {
  return encoded.reduce((sum, ids) => sum + ids.length, 0);
}

export interface Comparison {
  texts: number;
  /** Texts whose ids differ. */
  changed: number;
  /** The first of them. */
  examples: string[];
}

const keptExamples = 5;

/**
 * Compares the ids of texts that the extension should leave alone.
 * @param isNew characters of the new language: a text that quotes it is compared without the quotations
 */
export async function compareIds(
  texts: AsyncIterable<MeasuredText> | Iterable<MeasuredText>,
  isNew: (character: string) => boolean,
  before: PlainEncoder,
  after: PlainEncoder,
  onTexts: (texts: number) => void = () => {},
): Promise<Comparison> {
  const comparison: Comparison = { texts: 0, changed: 0, examples: [] };
  for await (const batch of batches(texts)) {
    const stretches = batch.map(({ text }) => withoutQuotations(text, isNew));
    const [old, now] = [await before.encode(stretches.flat()), await after.encode(stretches.flat())];
    let next = 0;
    for (const [index, { text }] of batch.entries()) {
      const end = next + (stretches[index]?.length ?? 0);
      let isSame = true;
      for (; next < end; next++) isSame &&= String(old[next]) === String(now[next]);
      if (isSame) continue;
      comparison.changed++;
      if (comparison.examples.length < keptExamples) comparison.examples.push(text);
    }
    comparison.texts += batch.length;
    onTexts(comparison.texts);
  }
  return comparison;
}

/** The stretches between a text's characters of the new language. */
function withoutQuotations(text: string, isNew: (character: string) => boolean): string[] {
  const stretches: string[] = [];
  let stretch = "";
  for (const character of text) {
    if (!isNew(character)) {
      stretch += character;
      continue;
    }
    if (stretch !== "") stretches.push(stretch);
    stretch = "";
  }
  if (stretch !== "") stretches.push(stretch);
  return stretches;
}

/** Tokens that their own text does not come out as. */
export async function unreachableTokens(
  added: readonly { readonly id: number; readonly token: string }[],
  extended: PlainEncoder,
): Promise<string[]> {
  const unreachable: string[] = [];
  for (let first = 0; first < added.length; first += batchSize) {
    const batch = added.slice(first, first + batchSize);
    const encoded = await extended.encode(batch.map(({ token }) => token));
    for (const [index, { id, token }] of batch.entries()) {
      if (String(encoded[index]) !== String(id)) unreachable.push(token);
    }
  }
  return unreachable;
}

async function* batches(
  texts: AsyncIterable<MeasuredText> | Iterable<MeasuredText>,
): AsyncGenerator<MeasuredText[]> {
  let batch: MeasuredText[] = [];
  for await (const text of texts) {
    batch.push(text);
    if (batch.length < batchSize) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
