import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { EngineLocation } from "./engine";
import { Refused } from "./refused";

export interface EngineTask {
  signal: AbortSignal;
  /** A line of its answer, which is what stdout is for. */
  onLine?: (line: string) => void;
  /** A line on stderr. @returns whether it was progress; else it belongs to the reason of a failure */
  onProgress?: (line: string) => boolean;
  /**
   * Nothing it leaves behind matters: it is killed when it has not ended `graceMilliseconds` after it was told to, and when this
   * process ends before it.
   */
  mayBeKilled?: boolean;
}

/** An engine that is at a step may take so long to see that it is not wanted any more. */
export const graceMilliseconds = 5000;

/** What a failed engine said last, in UTF-16 units. */
const reasonLength = 4000;

/**
 * Has the engine do one thing, as a child of this process, and waits for its end. Cancelling tells it to end and waits, too.
 * @throws Refused with the engine's reason, or when it cannot be started; the signal's reason; what a hook throws, which ends
 *   the engine at once
 */
export async function runEngine(
  engine: EngineLocation,
  args: readonly string[],
  { signal, onLine, onProgress, mayBeKilled = false }: EngineTask,
): Promise<void> {
  signal.throwIfAborted();
  const child = spawn(engine.path, args, { stdio: ["ignore", "pipe", "pipe"] });
  let killer: NodeJS.Timeout | undefined;
  const kill = () => void child.kill("SIGKILL");
  const cancel = () => {
    child.kill("SIGTERM");
    if (mayBeKilled) killer = setTimeout(kill, graceMilliseconds);
  };
  signal.addEventListener("abort", cancel, { once: true });
  if (mayBeKilled) process.once("exit", kill);
  let reason = "";
  let thrown: { error: unknown } | undefined;
  const each = (stream: Readable, take: (line: string) => void) =>
    createInterface({ input: stream }).on("line", (line) => {
      if (thrown !== undefined) return;
      try {
        take(line);
      } catch (error) {
        thrown = { error };
        kill();
      }
    });
  each(child.stderr, (line) => {
    if (line.trim() === "" || onProgress?.(line)) return;
    reason = `${reason}${line.replace(/^ziptie-engine: /, "")}\n`.slice(-reasonLength);
  });
  each(child.stdout, (line) => onLine?.(line));
  try {
    const ended = await new Promise<string | null>((fulfil, reject) => {
      child.on("error", (error) =>
        reject(new Refused(`The engine ${engine.path} cannot be started: ${error.message}`)),
      );
      child.on("close", (code, killedBy) => fulfil(code === 0 ? null : (killedBy ?? `status ${code}`)));
    });
    if (thrown !== undefined) throw thrown.error;
    signal.throwIfAborted();
    if (ended !== null) throw new Refused(reason.trim() || `The engine ended with ${ended}.`);
  } finally {
    clearTimeout(killer);
    signal.removeEventListener("abort", cancel);
    process.off("exit", kill);
  }
}
