import type { StartedRun } from "../protocol";
import type { EngineLocation } from "../training/engine";
import { type ConfigText, performJob } from "../training/training-job";
import { interruptible } from "./interruptible";

/**
 * Starts what a config asks for, with a line that tells how far its preparation is; Ctrl-C cancels that.
 * @returns undefined when it was cancelled; nothing is left of it then
 */
export function startRun(
  config: ConfigText,
  engine: EngineLocation,
): Promise<(StartedRun & { warnings: string[] }) | undefined> {
  return interruptible("Cancelled; no run was started.", async ({ note, ...hooks }) => {
    const started = await performJob({ task: "start", config, engine }, hooks);
    for (const warning of started.warnings) note(`warning: ${warning}`);
    return started;
  });
}
