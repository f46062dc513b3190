import type { RunSummary } from "../../../language-server/src/protocol";
import type { Translate } from "./run-text";

/** What can be done with a run as it is. */

export const isActive = (run: RunSummary): boolean => run.state === "preparing" || run.state === "running";
/** Ended, but with a checkpoint to go on from. */
export const isResumable = (run: RunSummary): boolean =>
  run.resumable && (run.state === "stopped" || run.state === "failed" || run.state === "interrupted");

/** Has weights to be asked: a checkpoint, or what it wrote at its end. A vocabulary's extension has no steps. */
export const isAnswerable = (run: RunSummary): boolean =>
  run.checkpoint !== undefined || (run.state === "finished" && run.steps > 0);

/** Has an adapter to be merged; a run that trains every weight writes a model that stands by itself. */
export const isExportable = (run: RunSummary): boolean => run.exportable;

/** Why a run's model cannot be exported, and what to do; undefined when it can. */
export function whyNotExportable(run: RunSummary, t: Translate): string | undefined {
  if (isExportable(run)) return undefined;
  if (isActive(run))
    return t("{0} has no adapter to export yet: it is written after the last step.", run.name);
  if (isResumable(run)) {
    return t(
      "{0} has no adapter to export: it is written after the last step. Resume the run, and export it when it has finished.",
      run.name,
    );
  }
  return run.state === "finished" && run.steps > 0
    ? t(
        "{0} trained every weight, so there is nothing to merge: its model is in {1}.",
        run.name,
        `${run.run}/model`,
      )
    : t("{0} has no adapter to export.", run.name);
}
