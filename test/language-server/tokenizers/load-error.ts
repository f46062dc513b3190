import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";
import { TokenizerError } from "../../../language-server/src/tokenizers/tokenizer-error";

/** Why a tokenizer cannot be loaded. */
export async function errorOf(path: string): Promise<TokenizerError> {
  try {
    await loadTokenizer(path);
  } catch (error) {
    if (error instanceof TokenizerError) return error;
    throw error;
  }
  throw new Error("it loaded");
}
