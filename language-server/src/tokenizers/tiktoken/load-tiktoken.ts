/** A vocabulary of tiktoken: ranks, and what is known of the encoding that has so many. */
import type { Encoder } from "../encoder";
import { TokenizerError } from "../tokenizer-error";
import type { AddedTokenEntry, VocabularyFacts } from "../vocabulary-facts";
import { tiktokenEncodings } from "./encodings";
import type { Ranks } from "./ranks-file";
import { TiktokenEncoder } from "./tiktoken-encoder";

/**
 * @param declared tokens of `tokenizer_config.json`'s `added_tokens_decoder`
 * @returns `roles` as a model's `config.json` names them
 * @throws TokenizerError `unsupported` for ranks of an unknown encoding
 */
export function loadTiktoken(
  { ranks, special }: Ranks,
  path: string,
  declared: readonly AddedTokenEntry[],
): { encoder: Encoder; facts: VocabularyFacts; roles: Record<string, unknown> } {
  const encoding = tiktokenEncodings.find((each) => each.ranks === ranks.size);
  if (!encoding) {
    const known = tiktokenEncodings.map((each) => `${each.name} (${each.ranks})`).join(", ");
    const message =
      `${path} has ${ranks.size} ranks, which are those of no encoding that is known: ${known}. ` +
      "How it splits a text stands in no rank file; use the model's tokenizer.json.";
    throw new TokenizerError("unsupported", path, message);
  }
  const added = new Map<number, AddedTokenEntry>();
  for (const [content, id] of Object.entries(special ?? encoding.special)) {
    const flags = { singleWord: false, leftStrip: false, rightStrip: false, normalized: false };
    added.set(id, { id, content, special: true, ...flags });
  }
  for (const token of declared) added.set(token.id, token);
  const addedTokens = [...added.values()];
  const idOf = (wanted: string | undefined) => addedTokens.find(({ content }) => content === wanted)?.id;
  return {
    encoder: new TiktokenEncoder(ranks, encoding, addedTokens),
    facts: { addedTokens, byteFallback: false, byteLevel: true, unknown: undefined },
    roles: { bos_token_id: idOf(encoding.bos), eos_token_id: idOf(encoding.eos) },
  };
}
