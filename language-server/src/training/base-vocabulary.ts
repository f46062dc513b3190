import { type LoadedTokenizer, loadTokenizer } from "../tokenizers/tokenizer";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import { hasTokenizer } from "./model-files";

/**
 * How many tokens a model was trained with, where `tokenizer` is that model's own with more tokens after them. A model may have
 * more rows than tokens (Qwen2.5: 151,936 of 151,665), and the new tokens' first rows are then among those.
 * @param model its directory
 * @returns null when that cannot be told: no tokenizer lies beside the model, or not one that was extended to this
 */
export async function tokensBeforeExtension(
  model: string,
  tokenizer: LoadedTokenizer,
): Promise<number | null> {
  const base = await tokenizerBeside(model);
  if (base === null || base.vocabSize >= tokenizer.vocabSize) return null;
  for (let id = 0; id < base.vocabSize; id++) if (base.token(id) !== tokenizer.token(id)) return null;
  return base.vocabSize;
}

async function tokenizerBeside(model: string): Promise<LoadedTokenizer | null> {
  if (!(await hasTokenizer(model))) return null;
  try {
    return await loadTokenizer(model);
  } catch (error) {
    // One that is of no use here does not keep the model from being trained with another.
    if (error instanceof TokenizerError) return null;
    throw error;
  }
}
