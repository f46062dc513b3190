import type { StartedRun } from "../protocol";
import type { EngineLocation } from "../training/engine";
import { type ConfigText, performJob } from "../training/training-job";
import { ProgressLine } from "./progress-line";

/**
 * Starts what a config asks for, with a line that tells how far its preparation is; Ctrl-C cancels that.
 * @returns undefined when it was cancelled; nothing is left of it then
 */
export async function startRun(
  config: ConfigText,
  engine: EngineLocation,
): Promise<(StartedRun & { warnings: string[] }) | undefined> {
  const line = new ProgressLine();
  const controller = new AbortController();
  const cancel = () => controller.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, cancel);
  try {
    const started = await performJob(
      { task: "start", config, engine },
      {
        report: ({ message, fraction }) => line.update(`${message}  ${Math.round(100 * fraction)} %`),
        signal: controller.signal,
      },
    );
    for (const warning of started.warnings) line.note(`warning: ${warning}`);
    return started;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    line.note("Cancelled; no run was started.");
    process.exitCode = 1;
    return undefined;
  } finally {
    line.clear();
    for (const signal of signals) process.off(signal, cancel);
  }
}
