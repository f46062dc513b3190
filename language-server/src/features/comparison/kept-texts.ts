import type { ComparedTextVersion } from "./compared-text";

/**
 * Texts with their tokens, one for each slot, the most recently asked for. One that has been replaced or was asked for too
 * long ago is given up as soon as nobody waits for it.
 */
export class KeptTexts {
  readonly #slots = new Map<string, ComparedTextVersion>();
  readonly #waiting = new Map<ComparedTextVersion, number>();

  /** @param most so many slots are kept */
  constructor(private readonly most: number) {}

  /** @param make undefined: there is no text to make it from */
  get(
    slot: string,
    version: string,
    make: (() => ComparedTextVersion) | undefined,
  ): ComparedTextVersion | undefined {
    const kept = this.#slots.get(slot);
    const text = kept?.version === version ? kept : make?.();
    if (text === undefined) return undefined;
    this.#slots.delete(slot);
    this.#slots.set(slot, text);
    const [oldest] = this.#slots.keys();
    if (this.#slots.size > this.most && oldest !== undefined) this.#giveUp(oldest);
    if (kept !== undefined && kept !== text) this.#dropIfIdle(kept);
    return text;
  }

  /** Keeps a text's work going until it is answered or whoever asked has given it up. */
  async waitFor<T>(text: ComparedTextVersion, answer: () => Promise<T>): Promise<T> {
    this.#waiting.set(text, (this.#waiting.get(text) ?? 0) + 1);
    try {
      return await answer();
    } finally {
      const left = (this.#waiting.get(text) ?? 1) - 1;
      if (left > 0) this.#waiting.set(text, left);
      else this.#waiting.delete(text);
      if (![...this.#slots.values()].includes(text)) this.#dropIfIdle(text);
    }
  }

  #giveUp(slot: string): void {
    const text = this.#slots.get(slot);
    this.#slots.delete(slot);
    if (text !== undefined) this.#dropIfIdle(text);
  }

  #dropIfIdle(text: ComparedTextVersion): void {
    if (!this.#waiting.has(text)) text.drop();
  }
}
