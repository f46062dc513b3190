import type { Encoder } from "./encoder";
import type { AddedTokenEntry } from "./vocabulary-facts";

/** A token with a role. `id` is absent when the vocabulary lacks the token that the config names. */
export interface SpecialToken {
  readonly text: string;
  readonly id: number | undefined;
}

export interface SpecialTokens {
  readonly bos: SpecialToken | undefined;
  readonly eos: SpecialToken | undefined;
  readonly unk: SpecialToken | undefined;
  readonly pad: SpecialToken | undefined;
}

/** What model families call BOS and EOS, for a bare `tokenizer.json` that nothing beside it explains. */
const CONVENTIONAL: readonly { bos?: string; eos: string }[] = [
  { bos: "<s>", eos: "</s>" },
  { bos: "<bos>", eos: "<eos>" },
  { bos: "<|begin_of_text|>", eos: "<|end_of_text|>" },
  { eos: "<|endoftext|>" },
];

/**
 * BOS, EOS, unknown and padding token: as `tokenizer_config.json` names them; else by the ids in the model's `config.json`;
 * else, for BOS and EOS, the first conventional pair that the tokenizer has as special tokens.
 */
export function readSpecialTokens(
  encoder: Pick<Encoder, "tokenToId" | "idToToken">,
  addedTokens: readonly AddedTokenEntry[],
  config: Record<string, unknown>,
  modelConfig: Record<string, unknown>,
): SpecialTokens {
  const byId = new Map(addedTokens.map(({ id, content }) => [id, content]));
  const byText = new Map(addedTokens.map(({ id, content }) => [content, id]));
  const specials = new Set(addedTokens.filter(({ special }) => special).map(({ content }) => content));
  const conventional = CONVENTIONAL.find(({ bos, eos }) => specials.has(eos) && (!bos || specials.has(bos)));
  const find = (role: "bos" | "eos" | "unk" | "pad"): SpecialToken | undefined => {
    const named = config[`${role}_token`];
    const text = textOf(named) ?? (named === null ? undefined : inferred(role));
    if (text === undefined) return undefined;
    return { text, id: byText.get(text) ?? encoder.tokenToId(text) };
  };
  const inferred = (role: string): string | undefined => {
    const field = modelConfig[`${role}_token_id`];
    const id: unknown = Array.isArray(field) ? field[0] : field;
    if (typeof id === "number") return byId.get(id) ?? encoder.idToToken(id);
    return role === "bos" ? conventional?.bos : role === "eos" ? conventional?.eos : undefined;
  };
  return { bos: find("bos"), eos: find("eos"), unk: find("unk"), pad: find("pad") };
}

/** A text, or an `AddedToken` object. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content =
    typeof value === "object" && value !== null ? (value as { content?: unknown }).content : undefined;
  return typeof content === "string" ? content : undefined;
}
