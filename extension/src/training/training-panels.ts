import { commands, type Disposable, type Uri, ViewColumn, type WebviewPanel, window } from "vscode";
import type { RunList } from "../runs/run-list";
import { type PanelActions, TrainingPanel } from "./training-panel";
import type { WatchedRuns } from "./watched-runs";

const viewType = "ziptie.training";

/** The open training panels, one for each run at most; restored after a reload. */
export class TrainingPanels implements Disposable {
  readonly #panels = new Map<string, TrainingPanel>();
  readonly #serializer: Disposable;

  constructor(
    private readonly extensionUri: Uri,
    private readonly list: RunList,
    private readonly watched: WatchedRuns,
    private readonly actions: PanelActions,
  ) {
    this.#serializer = window.registerWebviewPanelSerializer(viewType, {
      deserializeWebviewPanel: async (panel: WebviewPanel, state: unknown) => {
        const primary =
          typeof state === "object" && state !== null && "primary" in state ? state.primary : undefined;
        // The run may have been opened before its old panel came back.
        if (typeof primary === "string" && !this.#panels.has(primary)) this.#adopt(panel, primary);
        else panel.dispose();
      },
    });
  }

  open(run: string): void {
    const open = this.#panels.get(run);
    if (open !== undefined) {
      open.panel.reveal();
      return;
    }
    const panel = window.createWebviewPanel(viewType, "", ViewColumn.Active, { enableScripts: true });
    this.#adopt(panel, run);
  }

  #adopt(panel: WebviewPanel, run: string): void {
    const training = new TrainingPanel(panel, run, this.extensionUri, this.list, this.watched, this.actions);
    this.#panels.set(run, training);
    panel.onDidDispose(() => {
      training.dispose();
      if (this.#panels.get(run) === training) this.#panels.delete(run);
    });
    void commands.executeCommand("setContext", "ziptie.panelOpen", true);
  }

  dispose(): void {
    this.#serializer.dispose();
    for (const panel of this.#panels.values()) panel.dispose();
  }
}
