import { type FSWatcher, watch } from "node:fs";
import type { RunSummary } from "../protocol";
import { outputDirectories } from "./discovery";
import { RunsRegistry } from "./runs";

/** Changes are told at most this often. */
const shortestMilliseconds = 250;
/** While a run goes on: a killed engine makes no sound, so it is looked for. */
const activeMilliseconds = 1000;
const idleMilliseconds = 4000;
/** New configs and folders are looked for this often; a saved config is looked at right away. */
const discoverMilliseconds = 30_000;

/**
 * Keeps the list of runs up to date. The system's notifications on the output directories wake it, a slow poll sees what they do
 * not tell: an engine that was killed, a file system without notifications.
 */
export class RunsWatch {
  readonly #registry = new RunsRegistry();
  readonly #watchers = new Map<string, FSWatcher>();
  #directories: string[] = [];
  #discovered = 0;
  #runs: RunSummary[] = [];
  #told = "";
  #timer: NodeJS.Timeout | undefined;
  #lastRefresh = 0;
  #refreshing: Promise<void> | undefined;
  #isDisposed = false;

  constructor(
    private readonly folders: () => readonly string[],
    private readonly onChange: (runs: RunSummary[]) => void,
    private readonly onError: (error: Error) => void,
  ) {}

  /** The runs as they are now. Changes are told from then on. */
  async list(): Promise<RunSummary[]> {
    await this.#refresh(false);
    return this.#runs;
  }

  /** Something has changed that this process knows of. */
  nudge({ rediscover = false } = {}): void {
    if (rediscover) this.#discovered = 0;
    if (this.#timer === undefined) return;
    const wait = Math.max(0, this.#lastRefresh + shortestMilliseconds - Date.now());
    this.#schedule(wait);
  }

  dispose(): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer);
    if (this.#isDisposed) return;
    this.#timer = setTimeout(() => void this.#refresh(true), milliseconds);
    this.#timer.unref();
  }

  async #refresh(tell: boolean): Promise<void> {
    // Whoever asks in the middle of a look wants one that begins after the question.
    while (this.#refreshing !== undefined) await this.#refreshing;
    this.#refreshing = this.#look(tell);
    try {
      await this.#refreshing;
    } finally {
      this.#refreshing = undefined;
    }
    const isActive = this.#runs.some(({ state }) => state === "running" || state === "preparing");
    this.#schedule(isActive ? activeMilliseconds : idleMilliseconds);
  }

  async #look(tell: boolean): Promise<void> {
    try {
      if (Date.now() - this.#discovered > discoverMilliseconds) {
        this.#discovered = Date.now();
        this.#directories = await outputDirectories(this.folders());
        this.#watchDirectories();
      }
      this.#lastRefresh = Date.now();
      this.#runs = await this.#registry.list(this.#directories);
    } catch (error) {
      this.onError(error as Error);
      return;
    }
    if (this.#isDisposed) return;
    const now = JSON.stringify(this.#runs);
    if (tell && now !== this.#told) this.onChange(this.#runs);
    this.#told = now;
  }

  #watchDirectories(): void {
    for (const [directory, watcher] of this.#watchers) {
      if (this.#directories.includes(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of this.#directories) {
      if (this.#watchers.has(directory)) continue;
      try {
        const watcher = watch(directory, { persistent: false }, () => this.nudge());
        watcher.on("error", () => {
          watcher.close();
          this.#watchers.delete(directory);
        });
        this.#watchers.set(directory, watcher);
      } catch {
        // Not there yet, or none left: the poll remains.
      }
    }
  }
}
