/** A `tokenizer.json` as Hugging Face's library loads it, with what stands beside it. */

import { AddedToken, Tokenizer as NativeTokenizer } from "tokenizers";
import { declaredTokens } from "./declared-tokens";
import type { Encoder } from "./encoder";
import type { JsonObject } from "./json-object";
import { NativeEncoder } from "./native-encoder";
import { TokenizerError } from "./tokenizer-error";
import { readText } from "./tokenizer-files";
import { parseTokenizerJson, type TokenizerJson } from "./tokenizer-json";
import type { VocabularyFacts } from "./vocabulary-facts";

/**
 * @param config `tokenizer_config.json`, read from `configPath`
 * @throws TokenizerError
 */
export async function loadTokenizerJson(
  path: string,
  config: JsonObject,
  configPath: string,
): Promise<{ encoder: Encoder; facts: VocabularyFacts }> {
  const text = await readText(path);
  const json = parseTokenizerJson(text, path);
  let native: NativeTokenizer;
  try {
    native = NativeTokenizer.fromString(text);
    // A truncation or padding in the file would lose or add tokens behind everyone's back.
    native.disableTruncation();
    native.disablePadding();
    addDeclaredTokens(native, json, config, configPath);
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TokenizerError("malformed", path, `${path} is not a tokenizer: ${reason}.`);
  }
  return { encoder: new NativeEncoder(native, json), facts: json };
}

/** `added_tokens_decoder` may declare tokens that `tokenizer.json` lacks; transformers adds them when it loads. */
function addDeclaredTokens(
  native: NativeTokenizer,
  json: TokenizerJson,
  config: JsonObject,
  path: string,
): void {
  const known = new Set(json.addedTokens.map(({ id }) => id));
  for (const token of declaredTokens(config)) {
    const { id, content, special, singleWord, leftStrip, rightStrip, normalized } = token;
    if (known.has(id)) continue;
    const options = { singleWord, leftStrip, rightStrip, normalized };
    native.addAddedTokens([new AddedToken(content, special, options)]);
    const got = native.tokenToId(content);
    if (got !== id) {
      const message = `${path} declares the token \`${content}\` as ${id}, but tokenizer.json makes it ${got}.`;
      throw new TokenizerError("malformed", path, message);
    }
    json.addedTokens.push(token);
  }
}
