import { basename, join } from "node:path";
import { type Disposable, env, l10n, Uri, type WebviewPanel, window } from "vscode";
import type {
  RunSummary,
  TrainingPanelInput,
  TrainingPanelOutput,
} from "../../../language-server/src/protocol";
import { messageOf } from "../language-client";
import { showPage } from "../panel-page";
import type { RunList } from "../runs/run-list";
import { saveFile } from "../save-file";
import { emptySeries, lengthsOf, pointsSince, type SeriesLengths } from "./run-series";
import type { WatchedRuns } from "./watched-runs";

/** A frame of live points goes to the page at most this often, in milliseconds. */
const updateInterval = 100;
/** The page draws no more runs over one another. */
const maxOverlaid = 8;

export interface PanelActions {
  start(): void;
  /** Whether the run was told to stop. */
  stop(run: string): Promise<boolean>;
  resume(run: string): Promise<void>;
  openLog(run: string): Promise<void>;
  openConfig(run: string): Promise<void>;
}

/** One training panel: tells its page about its run and the runs laid over it, as long as the page is on screen. */
export class TrainingPanel implements Disposable {
  readonly #disposables: Disposable[] = [];
  /** Runs that were acquired from `WatchedRuns`. */
  readonly #acquired = new Set<string>();
  /** How much of each run the page has; empty while there is no page to update. */
  #sent = new Map<string, SeriesLengths>();
  #sentSummaries = new Map<string, string>();
  #sentAvailable = "";
  #overlay: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /**
   * Grows with every snapshot and when the page goes, so that one that was overtaken, hidden or closed while its runs were
   * loading is not sent.
   */
  #snapshot = 0;
  #disposed = false;

  constructor(
    readonly panel: WebviewPanel,
    readonly primary: string,
    extensionUri: Uri,
    private readonly list: RunList,
    private readonly watched: WatchedRuns,
    private readonly actions: PanelActions,
  ) {
    this.#disposables.push(
      watched.onDidChange(({ run, rewound }) => {
        if (!this.#sent.has(run)) return;
        if (rewound) void this.#sendSnapshot();
        else this.#schedule();
      }),
      list.onDidChange(() => {
        if (this.#sent.size > 0) this.#schedule();
      }),
      showPage(panel, {
        extensionUri,
        name: "training",
        title: basename(primary),
        schema: async () =>
          (await import("../../../language-server/src/panel-messages")).trainingPanelOutputSchema,
        receive: (message) => this.#handle(message),
        onHidden: () => {
          this.#snapshot++;
          this.#sent.clear();
        },
      }),
    );
  }

  async #handle(message: TrainingPanelOutput): Promise<void> {
    switch (message.type) {
      case "ready":
        return this.#sendSnapshot();
      case "overlay":
        this.#overlay = message.runs.filter((run) => run !== this.primary).slice(0, maxOverlaid);
        return this.#sendSnapshot();
      case "start":
        return this.actions.start();
      case "stop":
        if (!(await this.actions.stop(message.run))) this.#post({ type: "stopRefused", run: message.run });
        return;
      case "resume":
        return this.actions.resume(message.run);
      case "openLog":
        return this.actions.openLog(message.run);
      case "openConfig":
        return this.actions.openConfig(message.run);
      case "copy":
        await env.clipboard.writeText(message.text);
        window.setStatusBarMessage(l10n.t("Copied as CSV"), 3000);
        return;
      case "save":
        return this.#save(message);
    }
  }

  #save({ name, format, base64 }: Extract<TrainingPanelOutput, { type: "save" }>): Promise<void> {
    return saveFile({
      name: basename(name),
      folder: Uri.file(join(this.primary, "..")),
      filters: format === "png" ? { [l10n.t("PNG image")]: ["png"] } : { CSV: ["csv"] },
      content: Buffer.from(base64, "base64"),
    });
  }

  #post(message: TrainingPanelInput): void {
    void this.panel.webview.postMessage(message);
  }

  #summary(run: string): RunSummary | undefined {
    return this.list.get(run) ?? this.watched.summary(run);
  }

  async #sendSnapshot(): Promise<void> {
    if (this.#disposed) return;
    const snapshot = ++this.#snapshot;
    const wanted = [this.primary, ...this.#overlay];
    for (const run of [...this.#acquired].filter((run) => !wanted.includes(run))) {
      this.#acquired.delete(run);
      this.watched.release(run);
    }
    const failures = await Promise.all(
      wanted.map(async (run) => {
        if (this.#acquired.has(run)) return undefined;
        this.#acquired.add(run);
        return this.watched.acquire(run).then(
          () => undefined,
          (error: unknown) => {
            // Not twice: the panel may have been closed, or the run taken off it, in the meantime.
            if (this.#acquired.delete(run)) this.watched.release(run);
            return { run, message: messageOf(error) };
          },
        );
      }),
    );
    if (snapshot !== this.#snapshot) return;
    const failure = failures.find((failed) => failed?.run === this.primary);
    if (failure !== undefined) return this.#post({ type: "failure", message: failure.message });

    const runs = wanted.flatMap((run) => {
      const summary = this.#summary(run);
      const series = this.watched.series(run);
      return summary === undefined || series === undefined ? [] : [{ summary, series }];
    });
    this.#sent = new Map(runs.map(({ summary, series }) => [summary.run, lengthsOf(series)]));
    this.#sentSummaries = new Map(runs.map(({ summary }) => [summary.run, JSON.stringify(summary)]));
    const available = [...this.list.runs];
    this.#sentAvailable = outline(available);
    this.#post({ type: "snapshot", primary: this.primary, runs, available, max_overlaid: maxOverlaid });
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#sendUpdates();
    }, updateInterval);
  }

  #sendUpdates(): void {
    for (const [run, lengths] of this.#sent) {
      const series = this.watched.series(run);
      const summary = this.#summary(run);
      if (series === undefined || summary === undefined) continue;
      const now = lengthsOf(series);
      const grown =
        now.steps > lengths.steps ||
        now.evaluations > lengths.evaluations ||
        now.checkpoints > lengths.checkpoints;
      const text = JSON.stringify(summary);
      if (!grown && this.#sentSummaries.get(run) === text) continue;
      this.#sent.set(run, now);
      this.#sentSummaries.set(run, text);
      this.#post({
        type: "append",
        run,
        summary,
        series: grown ? pointsSince(series, lengths) : emptySeries(),
      });
    }
    const available = [...this.list.runs];
    if (this.#sent.size > 0 && outline(available) !== this.#sentAvailable) {
      this.#sentAvailable = outline(available);
      this.#post({ type: "available", runs: available });
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#snapshot++;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    for (const disposable of this.#disposables) disposable.dispose();
    for (const run of this.#acquired) this.watched.release(run);
    this.#acquired.clear();
    this.#sent.clear();
  }
}

/** What the list of runs to lay over shows of them. */
const outline = (runs: readonly RunSummary[]): string =>
  runs.map((run) => `${run.run}:${run.state}`).join("\n");
