/** Tokens that stand in configuration files beside the vocabulary. */
import { asObject, type JsonObject } from "./json-object";
import type { AddedTokenEntry } from "./vocabulary-facts";

/** The flags of an added token, as in `added_tokens` and in `added_tokens_decoder`. */
export function addedTokenFlags(entry: JsonObject): Omit<AddedTokenEntry, "id" | "content"> {
  return {
    special: entry.special === true,
    singleWord: entry.single_word === true,
    leftStrip: entry.lstrip === true,
    rightStrip: entry.rstrip === true,
    normalized: entry.normalized === true,
  };
}

/** Those of `tokenizer_config.json`'s `added_tokens_decoder`, in the order of their ids. */
export function declaredTokens(config: JsonObject): AddedTokenEntry[] {
  return Object.entries(asObject(config.added_tokens_decoder))
    .map(([id, entry]) => ({ id: Number(id), entry: asObject(entry) }))
    .filter(({ id, entry }) => Number.isInteger(id) && id >= 0 && typeof entry.content === "string")
    .sort((left, right) => left.id - right.id)
    .map(({ id, entry }) => ({ id, content: entry.content as string, ...addedTokenFlags(entry) }));
}
