import type { LoadedTokenizer } from "../../tokenizers/tokenizer";

/** What a chat template writes between its prompt and an answer, and between an answer and the token that ends it. */
export interface AnswerMargins {
  readonly before: string;
  readonly after: string;
}

/** Tokens as text, while they come. */
export class AnswerText {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** What is left out at the beginning, if the answer begins with it. */
  #before: string;
  /** Decoded, but perhaps a margin. */
  #held = "";

  /** @param margins whitespace that is the template's and not the answer's */
  constructor(
    private readonly tokenizer: LoadedTokenizer,
    private readonly margins: AnswerMargins,
  ) {
    this.#before = margins.before;
  }

  /** @returns the whole characters that this token completes; special tokens have none */
  push(id: number): string {
    if (this.tokenizer.kind(id) === "special") return "";
    const bytes = this.tokenizer.bytes(id);
    const text =
      bytes === undefined ? this.tokenizer.token(id) : this.#decoder.decode(bytes, { stream: true });
    return this.#take(this.#held + text);
  }

  /** @returns the rest: of a text that has not come to its end, what might have been a margin. Bytes of half a character are lost. */
  end(isWhole: boolean): string {
    const rest = this.#held;
    this.#held = "";
    if (this.#before !== "" || !isWhole) return rest;
    return rest.endsWith(this.margins.after) ? rest.slice(0, rest.length - this.margins.after.length) : rest;
  }

  #take(text: string): string {
    let known = text;
    if (this.#before !== "") {
      if (known.length < this.#before.length && this.#before.startsWith(known)) return this.#hold(known, 0);
      if (known.startsWith(this.#before)) known = known.slice(this.#before.length);
      this.#before = "";
    }
    const { after } = this.margins;
    for (let length = Math.min(after.length, known.length); length > 0; length--) {
      if (after.startsWith(known.slice(-length))) return this.#hold(known, known.length - length);
    }
    return this.#hold(known, known.length);
  }

  #hold(text: string, from: number): string {
    this.#held = text.slice(from);
    return text.slice(0, from);
  }
}
