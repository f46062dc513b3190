import { open, readFile, stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { type JsonRow, RowReader } from "../documents/json-rows";
import { Refused } from "./refused";

/** So much of a JSONL file is in memory at a time, and a line that is longer. */
const blockBytes = 1 << 20;
/** V8's longest string, which an array of rows has to fit into. */
const longestText = 0x1fffffe8;

export interface DatasetRow {
  /** Counted from 1. */
  number: number;
  row: JsonRow;
  /** How much of the file has been read, 0 to 1. */
  fraction: number;
}

/**
 * The rows of a dataset, one after the other. Lines are streamed, so a file may be larger than memory; an array is read whole.
 * @throws Refused when the file cannot be read
 */
export async function* datasetRows(path: string): AsyncGenerator<DatasetRow, void, undefined> {
  try {
    yield* readRows(path);
  } catch (error) {
    if (error instanceof Refused || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new Refused(`The dataset ${path} cannot be read: ${(error as Error).message}`);
  }
}

async function* readRows(path: string): AsyncGenerator<DatasetRow, void, undefined> {
  const size = (await stat(path)).size;
  let number = 0;
  let layout: RowReader["layout"] | undefined;
  for await (const { text, begin, end } of blocks(path)) {
    const reader = new RowReader(text);
    layout ??= reader.layout;
    if (layout !== "lines") {
      yield* wholeFile(path, size);
      return;
    }
    for (const row of reader.rows()) {
      if (row.kind !== "row") continue;
      const within = (end - begin) * (row.next / text.length);
      yield { number: ++number, row, fraction: (begin + within) / size };
    }
  }
}

async function* wholeFile(path: string, size: number): AsyncGenerator<DatasetRow, void, undefined> {
  if (size > longestText) {
    throw new Refused(
      `${path} is one JSON array of ${size} bytes, too large to be read whole. Write it as JSONL, one row a line.`,
    );
  }
  const text = await readFile(path, "utf8");
  let number = 0;
  for (const row of new RowReader(text).rows()) {
    if (row.kind === "row") yield { number: ++number, row, fraction: row.next / Math.max(1, text.length) };
  }
}

/** The file as texts of whole lines, with the bytes they were read from; the two ends of a line may lie in two blocks. */
async function* blocks(
  path: string,
): AsyncGenerator<{ text: string; begin: number; end: number }, void, undefined> {
  const file = await open(path, "r");
  try {
    const decoder = new StringDecoder("utf8");
    const chunk = Buffer.allocUnsafe(blockBytes);
    let parts: string[] = [];
    for (let begin = 0, end = 0; ; begin = end) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, end);
      end += bytesRead;
      if (bytesRead === 0) {
        parts.push(decoder.end());
        yield { text: parts.join(""), begin, end };
        return;
      }
      const text = decoder.write(chunk.subarray(0, bytesRead));
      const lastLine = text.lastIndexOf("\n") + 1;
      if (lastLine > 0) {
        yield { text: parts.join("") + text.slice(0, lastLine), begin, end };
        parts = [];
      }
      parts.push(text.slice(lastLine));
    }
  } finally {
    await file.close();
  }
}
