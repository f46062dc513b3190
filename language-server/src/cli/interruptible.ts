import { constants } from "node:os";
import type { Reporter } from "../training/progress";
import { ProgressLine } from "./progress-line";

export interface Interruptible {
  report: Reporter;
  /** Aborted by Ctrl-C and by what else asks a program to end. */
  signal: AbortSignal;
  /** Above the line that tells how far it is. */
  note: (text: string) => void;
  /** Takes that line away, before something else is written on the screen. */
  clear: () => void;
}

/**
 * Does work that takes a while, with a line that tells how far it is; Ctrl-C cancels it, and a second one ends the program.
 * @param cancelled what is said then; the exit status is 1
 * @returns undefined when it was cancelled
 */
export async function interruptible<T>(
  cancelled: string,
  work: (hooks: Interruptible) => Promise<T>,
): Promise<T | undefined> {
  const line = new ProgressLine();
  const controller = new AbortController();
  const cancel = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted && signal === "SIGINT") process.exit(128 + constants.signals[signal]);
    controller.abort();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, cancel);
  try {
    return await work({
      report: ({ message, fraction }) => line.update(`${message}  ${Math.round(100 * fraction)} %`),
      signal: controller.signal,
      note: (text) => line.note(text),
      clear: () => line.clear(),
    });
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    line.note(cancelled);
    process.exitCode = 1;
    return undefined;
  } finally {
    line.clear();
    for (const signal of signals) process.off(signal, cancel);
  }
}
