import type { Disposable } from "vscode";
import { commands, EventEmitter } from "vscode";
import {
  listRunsRequest,
  type RunState,
  type RunSummary,
  runsChangedNotification,
} from "../../../language-server/src/protocol";
import type { ServerConnection } from "../language-client";
import { isActive, isExportable, isResumable } from "./run-states";

/** A run that was seen going on and has come to an end. */
export interface RunEnded {
  run: RunSummary;
  before: RunState;
}

/** The runs as the server last told them, newest first. */
export class RunList implements Disposable {
  #runs: readonly RunSummary[] = [];
  readonly #changed = new EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #ended = new EventEmitter<RunEnded>();
  readonly onDidEnd = this.#ended.event;
  #loaded = false;
  /** Runs this window has started and not yet seen. */
  readonly #awaited = new Set<string>();
  /** Runs that had ended when they were first seen; if this window started them, nobody has been told. */
  readonly #endedUnseen = new Set<string>();

  constructor(private readonly server: ServerConnection) {
    server.onNotification(runsChangedNotification, ({ runs }) => this.#replace(runs));
    server.onDidStart(() => void this.refresh().catch(() => undefined));
  }

  get runs(): readonly RunSummary[] {
    return this.#runs;
  }

  get(run: string): RunSummary | undefined {
    return this.#runs.find((summary) => summary.run === run);
  }

  /** Says that this window has started a run: its end is told even if the run was over before it was ever seen going on. */
  started(run: string): void {
    const seen = this.get(run);
    if (seen === undefined) this.#awaited.add(run);
    else if (this.#endedUnseen.delete(run)) this.#ended.fire({ run: seen, before: "preparing" });
  }

  async refresh(): Promise<void> {
    this.#replace(await this.server.request(listRunsRequest, {}));
  }

  #replace(runs: readonly RunSummary[]): void {
    const before = new Map(this.#runs.map((run) => [run.run, run]));
    this.#runs = [...runs].sort((a, b) => b.started.localeCompare(a.started));
    const context = {
      "ziptie.hasRun": runs.length > 0,
      "ziptie.hasActiveRun": runs.some(isActive),
      "ziptie.hasExportableRun": runs.some(isExportable),
      "ziptie.hasResumableRun": runs.some(isResumable),
    };
    for (const [key, value] of Object.entries(context))
      void commands.executeCommand("setContext", key, value);
    this.#changed.fire();
    for (const run of this.#runs) {
      const old = before.get(run.run);
      const awaited = this.#awaited.delete(run.run);
      if (old === undefined && !isActive(run)) {
        if (awaited) this.#ended.fire({ run, before: "preparing" });
        else if (this.#loaded) this.#endedUnseen.add(run.run);
      } else if (old !== undefined && isActive(old) && !isActive(run)) {
        this.#ended.fire({ run, before: old.state });
      }
    }
    this.#loaded = true;
  }

  dispose(): void {
    this.#changed.dispose();
    this.#ended.dispose();
  }
}
