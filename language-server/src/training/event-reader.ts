import { open } from "node:fs/promises";
import { type RunEvent, runEventSchema } from "./events";
import { hasCode } from "./refused";

const chunkBytes = 1 << 20;
/** No event comes near this; a longer line is somebody else's file and is let go rather than kept in memory. */
const longestLineBytes = 1 << 20;
const newline = 0x0a;

export interface NewEvents {
  events: RunEvent[];
  /** The file was replaced or cut short since the last read: `events` are its contents from the beginning. */
  restarted: boolean;
}

/**
 * Reads an `events.jsonl` as it grows. Each call answers with the events whose lines were completed since the last one:
 * a half-written last line waits for its end, so characters are never cut either. Lines that are no events are passed over.
 */
export class EventReader {
  #offset = 0;
  #rest: Buffer = Buffer.alloc(0);
  #overlong = false;
  #inode = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** Complete lines that were not understood so far. */
  skippedLines = 0;

  constructor(readonly path: string) {}

  /** A missing file reads as empty: the engine has not begun. Throws what else the file system says, e.g. EACCES. */
  read(): Promise<NewEvents> {
    const result = this.#queue.then(() => this.#read());
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #read(): Promise<NewEvents> {
    let file: Awaited<ReturnType<typeof open>>;
    try {
      file = await open(this.path, "r");
    } catch (error) {
      if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
      const restarted = this.#offset > 0;
      this.#reset(0);
      return { events: [], restarted };
    }
    try {
      const { size, ino } = await file.stat();
      let restarted = false;
      if (size < this.#offset || (this.#inode !== 0 && ino !== this.#inode)) {
        restarted = true;
        this.#reset(ino);
      }
      this.#inode = ino;
      const events: RunEvent[] = [];
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(size - this.#offset, 1)));
      while (this.#offset < size) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        this.#take(chunk.subarray(0, bytesRead), events);
      }
      return { events, restarted };
    } finally {
      await file.close();
    }
  }

  #reset(inode: number): void {
    this.#offset = 0;
    this.#rest = Buffer.alloc(0);
    this.#overlong = false;
    this.#inode = inode;
    this.skippedLines = 0;
  }

  #take(chunk: Buffer, events: RunEvent[]): void {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const tail = chunk.subarray(start, end);
      const line = this.#rest.length > 0 ? Buffer.concat([this.#rest, tail]) : tail;
      this.#rest = Buffer.alloc(0);
      start = end + 1;
      if (this.#overlong) {
        this.#overlong = false;
        this.skippedLines++;
        continue;
      }
      const event = parseEvent(line.toString("utf8"));
      if (event !== undefined) events.push(event);
      else if (line.length > 0) this.skippedLines++;
    }
    if (start === chunk.length) return;
    // The chunk's memory is used again for the next read.
    this.#rest = Buffer.concat([this.#rest, chunk.subarray(start)]);
    if (this.#rest.length > longestLineBytes) {
      this.#rest = Buffer.alloc(0);
      this.#overlong = true;
    }
  }
}

/**
 * The event of one line. A killed engine can leave half a line that its successor's first event is then written behind;
 * what follows the last `{` that begins an object is tried too, so that event is not lost with the half one.
 */
export function parseEvent(line: string): RunEvent | undefined {
  const whole = parseObject(line);
  if (whole !== undefined) return whole;
  const glued = line.lastIndexOf('{"');
  return glued > 0 ? parseObject(line.slice(glued)) : undefined;
}

function parseObject(text: string): RunEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = runEventSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/**
 * Every event of a run that counts: points after the step that a resumed run went on from belong to a branch given up. One that
 * began again at step 0 gave up every point, those of step 0 too.
 */
export function withoutAbandoned(events: readonly RunEvent[]): RunEvent[] {
  const kept: RunEvent[] = [];
  for (const event of events) {
    if (event.event === "run_started" && event.resumed_from !== undefined) {
      const from = event.resumed_from;
      let length = 0;
      for (const earlier of kept) {
        if (!isAfter(earlier, from)) kept[length++] = earlier;
      }
      kept.length = length;
    }
    kept.push(event);
  }
  return kept;
}

function isAfter(event: RunEvent, step: number): boolean {
  return (
    (event.event === "step" || event.event === "evaluation" || event.event === "checkpoint") &&
    (event.step > step || step === 0)
  );
}
