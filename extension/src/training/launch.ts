import { basename } from "node:path";
import { type CancellationToken, l10n, type Uri, window } from "vscode";
import {
  type AlreadyRunning,
  type Refusal,
  resumeRunRequest,
  type StartedRun,
  startTrainingRequest,
} from "../../../language-server/src/protocol";
import { messageOf, type ServerConnection } from "../language-client";
import { isRefusal, showRefusal, showReport } from "../reveal";
import { withServerProgress } from "../server-progress";
import { isTrusted } from "../trust";
import { saveConfig } from "./configs";

type Answer = StartedRun | AlreadyRunning | Refusal;

/** What a launch does once it knows the run: the panel that shows it, the way to stop one that is in the way. */
export interface LaunchActions {
  /** This window has started or resumed a run. */
  started(run: string): void;
  open(run: string): void;
  stop(run: string): Promise<unknown>;
}

/** Starts and resumes runs: progress while the data is prepared, then the panel, or why not. */
export class Launcher {
  /** Configs and runs whose launch is being prepared: a second click must not start a second run. */
  readonly #launching = new Set<string>();

  constructor(
    private readonly server: ServerConnection,
    private readonly actions: LaunchActions,
  ) {}

  async start(config: Uri): Promise<void> {
    if (!(await isTrusted(l10n.t("Training starts a program, so it needs a trusted workspace.")))) return;
    const name = basename(config.path);
    if (config.scheme !== "file") {
      void window.showErrorMessage(l10n.t("Training needs files on a disk; {0} is not one.", name));
      return;
    }
    const title = l10n.t("Preparing {0}", name);
    await this.#launch(config.toString(), title, true, async (workDoneToken, token) => {
      if (!(await saveConfig(config))) return undefined;
      return this.server.request(startTrainingRequest, { uri: config.toString(), workDoneToken }, token);
    });
  }

  async resume(run: string): Promise<void> {
    if (!(await isTrusted(l10n.t("Training starts a program, so it needs a trusted workspace.")))) return;
    // Takes a moment, and the server does not stop halfway: a Cancel button would promise what is not kept.
    await this.#launch(run, l10n.t("Resuming {0}", basename(run)), false, () =>
      this.server.request(resumeRunRequest, { run }),
    );
  }

  async #launch(
    key: string,
    title: string,
    cancellable: boolean,
    ask: (workDoneToken: string, token: CancellationToken) => Promise<Answer | undefined>,
  ): Promise<void> {
    if (this.#launching.has(key)) return;
    this.#launching.add(key);
    try {
      const answer = await withServerProgress(this.server, title, cancellable, ask);
      if (answer !== undefined) await this.#conclude(answer);
    } catch (error) {
      void window.showErrorMessage(l10n.t("Training could not be started: {0}", messageOf(error)));
    } finally {
      this.#launching.delete(key);
    }
  }

  async #conclude(answer: Answer): Promise<void> {
    if (isRefusal(answer)) {
      void showRefusal(answer);
    } else if ("alreadyRunning" in answer) {
      void this.#offerRunning(answer.alreadyRunning);
    } else {
      this.actions.started(answer.run);
      if (answer.report === undefined) this.actions.open(answer.run);
      else {
        // A vocabulary's extension is over when it is answered: what came of it is read, not watched.
        await showReport(answer.report);
        window.setStatusBarMessage(l10n.t("Vocabulary extended: {0}", basename(answer.run)), 5000);
      }
    }
  }

  async #offerRunning(run: string): Promise<void> {
    const open = l10n.t("Open Run");
    const stop = l10n.t("Stop");
    const choice = await window.showWarningMessage(
      l10n.t("This config is being trained already, as {0}.", basename(run)),
      open,
      stop,
    );
    if (choice === open) this.actions.open(run);
    if (choice === stop) await this.actions.stop(run);
  }
}
