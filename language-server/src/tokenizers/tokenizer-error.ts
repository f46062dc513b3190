/** What is wrong with a tokenizer's files. */
export type TokenizerFailure =
  /** There is no such file, or no tokenizer in the directory. */
  | "missing"
  /** It is there, but cannot be read. */
  | "unreadable"
  /** Not JSON, cut off, or JSON that is not a tokenizer. */
  | "malformed"
  /** A format that is not read. */
  | "unsupported"
  /** A tokenizer that cannot do what is asked of it, e.g. end a text without an EOS token. */
  | "incomplete";

/** A tokenizer cannot be loaded or used. The message names the file, says what was found and what to do. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
  constructor(
    readonly failure: TokenizerFailure,
    /** The file or directory that is at fault. */
    readonly path: string,
    message: string,
  ) {
    super(message);
  }
}
