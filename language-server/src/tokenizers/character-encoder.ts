import type { EncodeOptions, Encoder, TokenSequence } from "./encoder";
import { LoadedTokenizer } from "./tokenizer";

/** The name of the tokenizer that makes a token of every character, beside which the others are measured. */
export const characterTokenizerName = "characters";

/** Every code point is a token, with its code as id. */
export function characterTokenizer(): LoadedTokenizer {
  const facts = { addedTokens: [], byteFallback: false, byteLevel: false, unknown: undefined };
  const special = { bos: undefined, eos: undefined, unk: undefined, pad: undefined };
  return new LoadedTokenizer(characterTokenizerName, new CharacterEncoder(), facts, special, []);
}

class CharacterEncoder implements Encoder {
  readonly vocabSize = 0x110000;

  tokenToId(token: string): number | undefined {
    const code = token.codePointAt(0);
    return code !== undefined && String.fromCodePoint(code) === token ? code : undefined;
  }

  idToToken(id: number): string | undefined {
    return id < this.vocabSize ? String.fromCodePoint(id) : undefined;
  }

  async encode(text: string): Promise<TokenSequence> {
    const ids = Uint32Array.from(text, (character) => {
      const code = character.codePointAt(0) as number;
      return code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
    });
    const spans = () => {
      const pairs = new Uint32Array(2 * ids.length);
      let at = 0;
      for (const [index, code] of ids.entries()) {
        pairs[2 * index] = at;
        at += code > 0xffff ? 2 : 1;
        pairs[2 * index + 1] = at;
      }
      return pairs;
    };
    return { ids, spans };
  }

  encodeBatch(texts: readonly string[], _options: EncodeOptions): Promise<TokenSequence[]> {
    return Promise.all(texts.map((text) => this.encode(text)));
  }
}
