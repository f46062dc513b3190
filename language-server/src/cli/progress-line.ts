/** So often a line is rewritten, and so often printed anew where it cannot be. */
const rewriteMilliseconds = 200;
const printMilliseconds = 10_000;

/** One line on stderr that tells how far something is: rewritten in a terminal, printed now and then elsewhere. */
export class ProgressLine {
  readonly #isTerminal = process.stderr.isTTY === true;
  #last = Number.NEGATIVE_INFINITY;
  #isShown = false;

  update(text: string): void {
    const now = performance.now();
    if (now - this.#last < (this.#isTerminal ? rewriteMilliseconds : printMilliseconds)) return;
    this.#last = now;
    if (this.#isTerminal) {
      // Cut to the terminal's width: a line that wraps cannot be rewritten.
      process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
      this.#isShown = true;
    } else {
      process.stderr.write(`${text}\n`);
    }
  }

  /** A line that stays, above. */
  note(text: string): void {
    this.clear();
    process.stderr.write(`${text}\n`);
  }

  clear(): void {
    if (this.#isShown) process.stderr.write("\r\u001b[K");
    this.#isShown = false;
    this.#last = Number.NEGATIVE_INFINITY;
  }
}
