/** So long one stretch of work may keep its thread. */
const sliceMilliseconds = 25;

/** Lets a long computation give way to the thread's other work. */
export class Breather {
  readonly #signal: AbortSignal | undefined;
  #began = performance.now();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  get isDue(): boolean {
    return performance.now() - this.#began > sliceMilliseconds;
  }

  /** @throws the signal's reason */
  async pause(): Promise<void> {
    await new Promise((resume) => setImmediate(resume));
    this.#signal?.throwIfAborted();
    this.#began = performance.now();
  }
}
