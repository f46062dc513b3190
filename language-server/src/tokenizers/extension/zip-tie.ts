/**
 * The zip-tie map: which tokens of the base an appended token's embedding begins as the weighted sum of (Bailong,
 * arXiv 2404.00862; the paper's weights are equal).
 */
import type { BaseTokenizer } from "./base-tokenizer";
import type { AppendedToken } from "./extend";
import type { PlainEncoder } from "./plain-encoder";
import type { ZipTieWeights } from "./zip-tie-weights";

/** By the new token's id. */
export type ZipTieMap = ReadonlyMap<number, readonly (readonly [id: number, weight: number])[]>;

/**
 * @param base the original tokenizer, taking texts as they are
 * @param bytesOf how many bytes a base token stands for
 */
export async function zipTieMap(
  added: readonly AppendedToken[],
  base: PlainEncoder,
  weights: ZipTieWeights,
  bytesOf: (id: number) => number,
): Promise<ZipTieMap> {
  const encoded = await base.encode(added.map(({ token }) => token));
  return new Map(added.map(({ id }, index) => [id, weighted(encoded[index] ?? [], weights, bytesOf)]));
}

function weighted(
  ids: readonly number[],
  weights: ZipTieWeights,
  bytesOf: (id: number) => number,
): [number, number][] {
  const raw = ids.map((id, index) =>
    weights === "mean" ? 1 : weights === "position" ? 1 / (index + 1) : bytesOf(id),
  );
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  // A token that occurs twice counts twice.
  const sums = new Map<number, number>();
  for (const [index, id] of ids.entries()) sums.set(id, (sums.get(id) ?? 0) + (raw[index] as number));
  return [...sums].map(([id, weight]) => [id, weight / total]);
}

/** `{"new_id": [[base_id, weight], …]}`, a line for each new token. */
export function zipTieJson(map: ZipTieMap): string {
  const lines = [...map].map(([id, parts]) => `  "${id}": ${JSON.stringify(parts)}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}

/** How many bytes of UTF-8 a token of the base stands for. */
export function baseTokenBytes({ vocabulary, byteLevel, wordStart }: BaseTokenizer): (id: number) => number {
  return (id) => {
    const token = vocabulary.tokens.get(id) ?? "";
    if (byteLevel) return token.length;
    return /^<0x[\dA-F]{2}>$/.test(token) ? 1 : Buffer.byteLength(token.replaceAll(wordStart.mark, " "));
  };
}
