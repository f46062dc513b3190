import { Tokenizer } from "tokenizers";

/** The ids of texts by Hugging Face's library, without tokens that a post-processor adds. */
export class PlainEncoder {
  readonly #native: Tokenizer;

  /** @param tokenizerJson that `parseTokenizerJson` has accepted */
  constructor(tokenizerJson: string) {
    this.#native = Tokenizer.fromString(tokenizerJson);
    this.#native.disableTruncation();
    this.#native.disablePadding();
  }

  async encode(texts: readonly string[]): Promise<number[][]> {
    const encodings = await this.#native.encodeBatch([...texts], { addSpecialTokens: false });
    return encodings.map((encoding) => encoding.getIds());
  }
}
