import type { Range, Refusal } from "../protocol";

/**
 * Something that a person asked for and that cannot be done, with the reason in their words. Thrown inside `training/`,
 * turned into a `Refusal` at the language server's edge and into a message with exit status 1 or 2 in the terminal.
 */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(
    message: string,
    readonly location?: { uri: string; range: Range },
  ) {
    super(message);
  }

  toRefusal(): Refusal {
    return this.location === undefined
      ? { refused: this.message }
      : { refused: this.message, location: this.location };
  }
}

/** A run of this config is going on already; `run` is its directory. */
export class RunningAlready extends Error {
  override readonly name = "RunningAlready";

  constructor(readonly run: string) {
    super(`A run of this config is going on already: ${run}. Stop it first, or wait for its end.`);
  }
}

/** Whether `error` is Node's error of that code, e.g. `ENOENT`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? "");
}
