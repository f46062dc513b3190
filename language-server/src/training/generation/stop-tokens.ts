import type { LoadedTokenizer } from "../../tokenizers/tokenizer";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import { Refused } from "../refused";

/**
 * The ids of tokens that are to end an answer.
 * @param tokens each as the vocabulary writes it (`<|im_end|>`, `Ċ`), as its text (a line break), or as its id
 * @throws Refused naming what is not one token
 */
export async function stopTokenIds(tokens: readonly string[], tokenizer: LoadedTokenizer): Promise<number[]> {
  return Promise.all(tokens.map((token) => stopTokenId(token, tokenizer)));
}

async function stopTokenId(token: string, tokenizer: LoadedTokenizer): Promise<number> {
  const known = tokenizer.id(token);
  if (known !== undefined) return known;
  const ids = await idsOf(token, tokenizer);
  if (ids.length === 1 && ids[0] !== tokenizer.unknownId) return ids[0] as number;
  if (/^\d+$/.test(token) && Number(token) < tokenizer.vocabSize) return Number(token);
  const is = ids.length > 1 ? `is ${ids.length} tokens of` : "is no token of";
  throw new Refused(
    `The stop token ${JSON.stringify(token)} ${is} the tokenizer ${tokenizer.path}. Name one token, as its vocabulary writes it or by its id.`,
  );
}

async function idsOf(text: string, tokenizer: LoadedTokenizer): Promise<readonly number[]> {
  try {
    return [...(await tokenizer.encode(text, { addSpecialTokens: false })).ids];
  } catch (error) {
    if (error instanceof TokenizerError) return [];
    throw error;
  }
}
