/** A text as ids. */
export interface TokenSequence {
  readonly ids: Uint32Array;
  /** Start and end of every token, one pair after the other, in UTF-16 offsets of the text; computed when called. */
  spans(): Uint32Array;
}

export interface EncodeOptions {
  /** Whether BOS and the like are added, as the tokenizer's post-processor or its config says. */
  readonly addSpecialTokens: boolean;
  /**
   * Special tokens that are written in the text are ordinary text, as in SentencePiece's `encode` and tiktoken's
   * `encode_ordinary`; by default they are the special tokens. A `tokenizer.json` always finds them.
   */
  readonly ordinary?: boolean | undefined;
  /** Long texts are given up between two stretches, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What turns texts into ids, ids equal to those of the library that the tokenizer was made for: Hugging Face's for a
 * `tokenizer.json`, SentencePiece, or tiktoken. Lone surrogates are U+FFFD to all of them.
 */
export interface Encoder {
  /** Of the vocabulary with its added tokens. */
  readonly vocabSize: number;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  encode(text: string, options: EncodeOptions): Promise<TokenSequence>;
  encodeBatch(texts: readonly string[], options: EncodeOptions): Promise<TokenSequence[]>;
}
