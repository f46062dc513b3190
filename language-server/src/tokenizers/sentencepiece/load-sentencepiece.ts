/** A SentencePiece `tokenizer.model`, with what stands beside it. */
import type { Encoder } from "../encoder";
import type { AddedTokenEntry, VocabularyFacts } from "../vocabulary-facts";
import { readSentencePieceModel } from "./model-file";
import { SentencePieceEncoder } from "./sentencepiece-encoder";

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * BOS and EOS are added as `add_bos_token` and `add_eos_token` of `tokenizer_config.json` say; without them BPE gets its
 * BOS, as Llama's, Mistral's and Gemma's do, and unigram nothing.
 *
 * @param declared tokens of `tokenizer_config.json`'s `added_tokens_decoder`
 * @returns `ids` of the roles, named as in a model's `config.json`
 * @throws TokenizerError
 */
export function loadSentencePiece(
  bytes: Uint8Array,
  path: string,
  config: JsonObject,
  declared: readonly AddedTokenEntry[],
): { encoder: Encoder; facts: VocabularyFacts; roles: JsonObject } {
  const model = readSentencePieceModel(bytes, path);
  const added = new Map<number, AddedTokenEntry>();
  for (const [id, { piece, type }] of model.pieces.entries()) {
    if (type === "control" || type === "unknown") added.set(id, special(id, piece));
  }
  for (const token of declared) added.set(token.id, token);
  const addedTokens = [...added.values()];
  const idOf = (id: number) => (model.pieces[id]?.type === "control" ? id : undefined);
  const [bos, eos] = [idOf(model.bosId), idOf(model.eosId)];
  const adds = (value: unknown, byDefault: boolean) => (typeof value === "boolean" ? value : byDefault);
  const encoder = new SentencePieceEncoder(model, {
    addedTokens,
    before: bos !== undefined && adds(config.add_bos_token, model.algorithm === "BPE") ? [bos] : [],
    after: eos !== undefined && adds(config.add_eos_token, false) ? [eos] : [],
    prefixAfterSpecial: config.legacy !== false,
  });
  const facts = {
    addedTokens,
    byteFallback: model.byteFallback,
    byteLevel: false,
    unknown: model.pieces[model.unknownId]?.piece,
  };
  const roles = {
    bos_token_id: bos,
    eos_token_id: eos,
    pad_token_id: idOf(model.padId),
    unk_token_id: model.unknownId,
  };
  return { encoder, facts, roles };
}

function special(id: number, content: string): AddedTokenEntry {
  const flags = { singleWord: false, leftStrip: false, rightStrip: false, normalized: false };
  return { id, content, special: true, ...flags };
}
