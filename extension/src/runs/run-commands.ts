import { join } from "node:path";
import { env, l10n, window } from "vscode";
import { type RunSummary, stopRunRequest } from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import { messageOf, type ServerConnection } from "../language-client";
import { isFile, isRefusal, openFile, showRefusal } from "../reveal";
import type { RunList } from "./run-list";
import { runDescription } from "./run-text";

/** The run directory that a command's argument names: a run of the tree, or its path. */
export function toRun(argument: unknown): string | undefined {
  if (typeof argument === "string") return argument;
  if (typeof argument === "object" && argument !== null && "run" in argument) {
    return typeof argument.run === "string" ? argument.run : undefined;
  }
  return undefined;
}

/** What can be done with a run that is there already. */
export class RunCommands {
  constructor(
    private readonly server: ServerConnection,
    private readonly list: RunList,
    private readonly formats: Formats,
  ) {}

  /**
   * The run that is meant: the argument, else the only one that fits, else the one that is picked.
   * @param none what to say when no run fits
   */
  async pick(
    argument: unknown,
    fits: (run: RunSummary) => boolean,
    placeHolder: string,
    none: string,
  ): Promise<string | undefined> {
    const given = toRun(argument);
    if (given !== undefined) return given;
    await this.list.refresh();
    const runs = this.list.runs.filter(fits);
    if (runs.length === 0) {
      void window.showInformationMessage(none);
      return undefined;
    }
    if (runs.length === 1) return runs[0]?.run;
    const picked = await window.showQuickPick(
      runs.map((run) => ({
        label: run.name,
        description: runDescription(run, this.formats, l10n.t),
        detail: new Date(run.started).toLocaleString(env.language),
        run: run.run,
      })),
      { placeHolder, matchOnDescription: true },
    );
    return picked?.run;
  }

  /** Whether the run was told to stop; if not, the person has been told why. */
  async stop(run: string): Promise<boolean> {
    try {
      const answer = await this.server.request(stopRunRequest, { run });
      if (isRefusal(answer)) {
        void showRefusal(answer);
        return false;
      }
      window.setStatusBarMessage(l10n.t("Stopping after the current step and writing a checkpoint…"), 5000);
      return true;
    } catch (error) {
      void window.showErrorMessage(l10n.t("The run could not be stopped: {0}", messageOf(error)));
      return false;
    }
  }

  openLog(run: string): Promise<void> {
    return openFile(join(run, "engine.log"), l10n.t("This run has not written a log yet."));
  }

  /** The config in the workspace, else the copy that the run keeps. */
  async openConfig(run: string): Promise<void> {
    const config = this.list.get(run)?.config;
    await openFile(
      config !== undefined && (await isFile(config)) ? config : join(run, "config.ziptie.yaml"),
      l10n.t("The config of this run is not there any more."),
    );
  }
}
