import { join } from "node:path";
import type { RunEvent, RunHistory } from "../protocol";
import { withoutAbandoned } from "./event-reader";
import { EventTail } from "./event-tail";
import { runFiles } from "./run-directory";
import { openRun } from "./runs";

/** News of a run is passed on at most this often. */
const shortestMilliseconds = 250;

interface Watched {
  tail: EventTail;
  /** Settles once the events that were there at the start have been read. */
  started: Promise<void>;
  /** Every event so far, those that were not passed on yet included. */
  events: RunEvent[];
  /** Not passed on yet. */
  news: RunEvent[];
  timer: NodeJS.Timeout | undefined;
}

/** Follows the events of the runs that somebody looks at, and of no others. */
export class WatchedRuns {
  readonly #watched = new Map<string, Watched>();

  constructor(
    private readonly onEvents: (run: string, events: RunEvent[]) => void,
    private readonly onError: (error: Error) => void,
  ) {}

  /** The whole history of a run; what is written later is passed on. @throws Refused when there is no such run */
  async watch(path: string): Promise<RunHistory> {
    const { run, summary } = await openRun(path);
    const key = run.directory;
    const watched = this.#watched.get(key) ?? this.#follow(key);
    try {
      await watched.started;
    } catch (error) {
      // Whoever asks again is to have another try.
      if (this.#watched.get(key) === watched) this.unwatch(key);
      throw error;
    }
    // What is in the history is not told again.
    watched.news = [];
    return { summary, events: withoutAbandoned(watched.events) };
  }

  unwatch(path: string): void {
    const watched = this.#watched.get(path);
    this.#watched.delete(path);
    watched?.tail.dispose();
    clearTimeout(watched?.timer);
  }

  dispose(): void {
    for (const run of [...this.#watched.keys()]) this.unwatch(run);
  }

  #follow(run: string): Watched {
    const tail = new EventTail(
      join(run, runFiles.events),
      ({ events, restarted }) => {
        if (restarted) {
          watched.events = [];
          // Another run has taken this one's name: for whoever has its points, all of them are given up.
          const [first] = events;
          if (first?.event === "run_started") events[0] = { ...first, resumed_from: 0 };
        }
        for (const event of events) {
          watched.events.push(event);
          watched.news.push(event);
        }
        if (watched.news.length > 0) {
          watched.timer ??= setTimeout(() => {
            watched.timer = undefined;
            if (watched.news.length > 0) this.onEvents(run, watched.news);
            watched.news = [];
          }, shortestMilliseconds);
        }
      },
      this.onError,
    );
    // The listener is called only after the first read, when `watched` is there.
    const watched: Watched = { tail, started: tail.start(), events: [], news: [], timer: undefined };
    this.#watched.set(run, watched);
    return watched;
  }
}
