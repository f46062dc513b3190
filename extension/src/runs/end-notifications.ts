import { commands, type Disposable, l10n, window } from "vscode";
import type { Formats } from "../format";
import type { RunList } from "./run-list";

/** Says that a run has ended or failed. A run that a person stopped needs no telling. */
export function announceEnds(list: RunList, formats: Formats): Disposable {
  return list.onDidEnd(async ({ run }) => {
    const openRun = l10n.t("Open Run");
    const openLog = l10n.t("Open Log");
    let choice: string | undefined;
    switch (run.state) {
      case "finished": {
        // A vocabulary was extended: whoever started it is shown the report.
        if (run.steps === 0 && run.step === 0) return;
        const loss = run.loss === null ? "–" : formats.loss(run.loss);
        choice = await window.showInformationMessage(
          l10n.t("{0} has finished: {1} steps, loss {2}.", run.name, formats.count(run.step), loss),
          openRun,
          openLog,
        );
        break;
      }
      case "failed":
        choice = await window.showErrorMessage(
          l10n.t("{0} has failed: {1}", run.name, run.reason ?? l10n.t("the engine gave no reason")),
          openRun,
          openLog,
        );
        break;
      case "interrupted":
        choice = await window.showErrorMessage(
          l10n.t("{0} was interrupted at step {1}: the engine is gone.", run.name, formats.count(run.step)),
          openRun,
          openLog,
        );
        break;
      default:
        return;
    }
    if (choice === openRun) void commands.executeCommand("ziptie.openRun", run);
    if (choice === openLog) void commands.executeCommand("ziptie.openEngineLog", run);
  });
}
