import type { ComparedToken, TokenizerFigures } from "../../protocol";
import type { Figures } from "../../tokenizers/figures";
import type { LoadedTokenizer } from "../../tokenizers/tokenizer";
import type { ZipTieParts } from "./zip-tie-parts";

/** @param zipTie of the tokenizer, if its vocabulary was extended */
export function toComparedToken(id: number, tokenizer: LoadedTokenizer, zipTie?: ZipTieParts): ComparedToken {
  const parts = zipTie?.get(id);
  const bytes = tokenizer.bytes(id) ?? new Uint8Array();
  return {
    id,
    token: tokenizer.token(id),
    kind: tokenizer.kind(id),
    bytes: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" "),
    ...(parts
      ? { zip_tie: parts.map(([part, weight]) => ({ id: part, token: tokenizer.token(part), weight })) }
      : {}),
  };
}

export function toTokenizerFigures(figures: Figures): TokenizerFigures {
  return {
    characters: figures.characters,
    bytes: figures.bytes,
    words: figures.words ?? null,
    tokens: figures.tokens,
    byte_tokens: figures.byteTokens,
    unknown_tokens: figures.unknownTokens,
    special_tokens: figures.specialTokens,
  };
}
