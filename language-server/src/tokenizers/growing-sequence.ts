import type { TokenSequence } from "./encoder";

/** Ids and spans that are appended to. */
export class GrowingSequence implements TokenSequence {
  readonly #ids: number[] = [];
  readonly #spans: number[] = [];

  push(id: number, start: number, end: number): void {
    this.#ids.push(id);
    this.#spans.push(start, end);
  }

  /** Ends the last token elsewhere. */
  extend(end: number): void {
    this.#spans[this.#spans.length - 1] = end;
  }

  get lastId(): number | undefined {
    return this.#ids.at(-1);
  }

  get ids(): Uint32Array {
    return Uint32Array.from(this.#ids);
  }

  spans(): Uint32Array {
    return Uint32Array.from(this.#spans);
  }
}
