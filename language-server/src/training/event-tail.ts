import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { EventReader, type NewEvents } from "./event-reader";

/** Where the system's file notifications do not work (network file systems, none left), new lines are seen this late. */
const pollMilliseconds = 1000;

/**
 * Follows a growing `events.jsonl`: `listener` gets every new batch of events, in order, never two at once.
 * The system's notifications wake it; a slow poll stands in where there are none. Nothing keeps the process alive but `hold`.
 */
export class EventTail {
  readonly #reader: EventReader;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #again = false;
  #disposed = false;

  constructor(
    path: string,
    private readonly listener: (news: NewEvents) => void,
    private readonly onError: (error: Error) => void = () => {},
    private readonly hold = false,
  ) {
    this.#reader = new EventReader(path);
  }

  /** Reads what is there, hands it to the listener even if it is nothing, and follows from then on. */
  async start(): Promise<void> {
    this.listener(await this.#reader.read());
    if (this.#disposed) return;
    this.#timer = setInterval(() => this.poke(), pollMilliseconds);
    if (!this.hold) this.#timer.unref();
    this.#watch();
    this.poke();
  }

  /** Look now. */
  poke(): void {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    void this.#readOn();
  }

  dispose(): void {
    this.#disposed = true;
    clearInterval(this.#timer);
    this.#watcher?.close();
  }

  async #readOn(): Promise<void> {
    this.#reading = true;
    do {
      this.#again = false;
      try {
        const news = await this.#reader.read();
        if (!this.#disposed && (news.events.length > 0 || news.restarted)) this.listener(news);
      } catch (error) {
        if (!this.#disposed) this.onError(error as Error);
      }
    } while (this.#again && !this.#disposed);
    this.#reading = false;
  }

  #watch(): void {
    try {
      // The directory, because the file may not be there yet.
      this.#watcher = watch(dirname(this.#reader.path), { persistent: false }, () => this.poke());
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch {
      // The poll remains.
    }
  }
}
