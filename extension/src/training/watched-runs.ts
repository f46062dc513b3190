import { type Disposable, EventEmitter } from "vscode";
import {
  type RunEvent,
  type RunSeries,
  type RunSummary,
  runEventsNotification,
  unwatchRunRequest,
  watchRunRequest,
} from "../../../language-server/src/protocol";
import type { ServerConnection } from "../language-client";
import { isRefusal } from "../reveal";
import { RunSeriesBuilder } from "./run-series";

/** Why a run cannot be shown, in words for a person. */
export class RunUnavailable extends Error {
  override readonly name = "RunUnavailable";
}

interface Watched {
  builder: RunSeriesBuilder;
  /** As it was when the history came; the run list has it newer while the run goes on. */
  summary: RunSummary | undefined;
  viewers: number;
  /** Events that came before the history, while it is being loaded. */
  early: RunEvent[] | undefined;
  loaded: Promise<void>;
}

/** The series of every run that some panel shows. They live here, in the host, so that a panel can be thrown away when hidden. */
export class WatchedRuns implements Disposable {
  readonly #watched = new Map<string, Watched>();
  readonly #changed = new EventEmitter<{ run: string; rewound: boolean }>();
  /** New points; `rewound` when points were taken back and a copy has to be replaced. */
  readonly onDidChange = this.#changed.event;

  constructor(private readonly server: ServerConnection) {
    server.onNotification(runEventsNotification, ({ run, events }) => {
      const watched = this.#watched.get(run);
      if (watched === undefined) return;
      if (watched.early !== undefined) {
        watched.early.push(...events);
        return;
      }
      this.#changed.fire({ run, ...watched.builder.add(events) });
    });
    server.onDidStart(() => {
      // The new server watches nothing yet. What panels show stays until the history is there again.
      for (const [run, watched] of this.#watched) {
        // This very start is what the load was waiting for.
        if (watched.early !== undefined) continue;
        watched.loaded = this.#load(run, watched).then(() => this.#changed.fire({ run, rewound: true }));
        watched.loaded.catch(() => undefined);
      }
    });
  }

  /** Begins to watch; every call is to be paired with one of `release`. Rejects with `RunUnavailable`. */
  async acquire(run: string): Promise<void> {
    let watched = this.#watched.get(run);
    if (watched === undefined) {
      watched = {
        builder: new RunSeriesBuilder(),
        summary: undefined,
        viewers: 0,
        early: undefined,
        loaded: Promise.resolve(),
      };
      this.#watched.set(run, watched);
      watched.loaded = this.#load(run, watched);
    }
    watched.viewers++;
    await watched.loaded;
  }

  release(run: string): void {
    const watched = this.#watched.get(run);
    if (watched === undefined || --watched.viewers > 0) return;
    this.#watched.delete(run);
    // A server that is gone has forgotten the run by itself.
    this.server.request(unwatchRunRequest, { run }).catch(() => undefined);
  }

  series(run: string): RunSeries | undefined {
    return this.#watched.get(run)?.builder.series;
  }

  summary(run: string): RunSummary | undefined {
    return this.#watched.get(run)?.summary;
  }

  async #load(run: string, watched: Watched): Promise<void> {
    const early: RunEvent[] = [];
    watched.early = early;
    try {
      const history = await this.server.request(watchRunRequest, { run });
      if (isRefusal(history)) throw new RunUnavailable(history.refused);
      const builder = new RunSeriesBuilder();
      builder.add(history.events);
      builder.add(early);
      watched.builder = builder;
      watched.summary = history.summary;
    } finally {
      watched.early = undefined;
    }
  }

  dispose(): void {
    this.#changed.dispose();
    this.#watched.clear();
  }
}
