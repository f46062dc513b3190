import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { EngineLocation } from "./engine";
import { Refused } from "./refused";

export interface EngineTask {
  signal: AbortSignal;
  /** A line of its answer, which is what stdout is for. */
  onLine?: (line: string) => void;
  /** A line on stderr. @returns whether it was progress; else it belongs to the reason of a failure */
  onProgress?: (line: string) => boolean;
  /** A task that leaves nothing behind may be killed when it does not end so many milliseconds after it was told to. */
  killAfter?: number;
}

/** What a failed engine said last, in UTF-16 units. */
const reasonLength = 4000;

/**
 * Has the engine do one thing, as a child of this process, and waits for its end. Cancelling tells it to end and waits, too.
 * @throws Refused with the engine's reason, or when it cannot be started; the signal's reason
 */
export async function runEngine(
  engine: EngineLocation,
  args: readonly string[],
  { signal, onLine, onProgress, killAfter }: EngineTask,
): Promise<void> {
  signal.throwIfAborted();
  const child = spawn(engine.path, args, { stdio: ["ignore", "pipe", "pipe"] });
  let killer: NodeJS.Timeout | undefined;
  const cancel = () => {
    child.kill("SIGTERM");
    if (killAfter !== undefined) killer = setTimeout(() => child.kill("SIGKILL"), killAfter);
  };
  signal.addEventListener("abort", cancel, { once: true });
  let reason = "";
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (line.trim() === "" || onProgress?.(line)) return;
    reason = `${reason}${line.replace(/^ziptie-engine: /, "")}\n`.slice(-reasonLength);
  });
  createInterface({ input: child.stdout }).on("line", (line) => onLine?.(line));
  try {
    const ended = await new Promise<string | null>((fulfil, reject) => {
      child.on("error", (error) =>
        reject(new Refused(`The engine ${engine.path} cannot be started: ${error.message}`)),
      );
      child.on("close", (code, killedBy) => fulfil(code === 0 ? null : (killedBy ?? `status ${code}`)));
    });
    signal.throwIfAborted();
    if (ended !== null) throw new Refused(reason.trim() || `The engine ended with ${ended}.`);
  } finally {
    clearTimeout(killer);
    signal.removeEventListener("abort", cancel);
  }
}
