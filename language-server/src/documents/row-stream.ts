import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { LineIndex } from "../text/line-index";
import type { Finding } from "../text/span";
import { type JsonRow, RowReader } from "./json-rows";
import { decodeUtf8, utf16Mark } from "./utf8";

/** A row of a file on disk. `row`'s spans and `findings` are those of `text`. */
export interface StreamedRow {
  readonly row: JsonRow;
  /** The row's surroundings: its line, or the whole of a file that is one array. */
  readonly text: string;
  /** Line of the file on which `text` begins, from 0. */
  readonly firstLine: number;
  /** The row's findings, and those of the bytes and of what stands before it. */
  readonly findings: readonly Finding[];
}

export interface RowStreamOptions {
  signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  onProgress?: ((read: number, total: number) => void) | undefined;
}

/** A JSON array has no lines to read it by. This much of one, or of one line, is held in memory. */
export const maxHeldBytes = 256 * 1024 * 1024;
/** What is held in memory of JSONL, unless a line is longer. */
const chunkBytes = 1024 * 1024;
/** Enough of a file to tell how it holds its rows. */
const headBytes = 64 * 1024;

/** A file that cannot be read as rows at all. */
export class UnreadableDatasetError extends Error {
  override readonly name = "UnreadableDatasetError";
  constructor(
    readonly path: string,
    /** A sentence. */
    readonly reason: string,
    readonly rule: "invalid-utf8" | "length-over-limit",
  ) {
    super(`${path}: ${reason}`);
  }
}

/**
 * Reads the rows of a file of any size. JSONL is read by the line and may be larger than memory; an array, and objects
 * spread over lines, are read whole.
 *
 * @throws UnreadableDatasetError for UTF-16, and for an array, or a line, larger than `maxHeldBytes`; what `node:fs` throws; the signal's reason
 */
export async function* streamRows(
  path: string,
  options: RowStreamOptions = {},
): AsyncGenerator<StreamedRow, void, undefined> {
  options.signal?.throwIfAborted();
  for await (const block of blocksOf(path, options)) {
    for (const row of rowsOf(block)) {
      options.signal?.throwIfAborted();
      yield row;
    }
  }
}

/** A part of a file that holds whole rows. */
interface Block {
  readonly reader: RowReader;
  readonly firstLine: number;
  /** Those of the bytes. */
  readonly findings: readonly Finding[];
}

async function* blocksOf(path: string, options: RowStreamOptions): AsyncGenerator<Block, void, undefined> {
  const { size } = await stat(path);
  const head = await headOf(path);
  const wide = utf16Mark(head);
  if (wide !== undefined) {
    throw new UnreadableDatasetError(path, `This file is ${wide}; save it as UTF-8.`, "invalid-utf8");
  }
  const { layout } = new RowReader(decodeUtf8(head).text);
  if (layout === "lines") {
    yield* blocksOfLines(path, size, options);
    return;
  }
  if (size > maxHeldBytes) {
    throw new UnreadableDatasetError(
      path,
      `This JSON array has ${mebibytes(size)}; above ${mebibytes(maxHeldBytes)} rows must stand one a line (JSONL).`,
      "length-over-limit",
    );
  }
  const chunks: Buffer[] = [];
  for await (const chunk of bytesOf(path, size, options)) chunks.push(chunk);
  const { text, findings } = decodeUtf8(Buffer.concat(chunks));
  yield { reader: new RowReader(text), firstLine: 0, findings };
}

async function headOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function* blocksOfLines(
  path: string,
  size: number,
  options: RowStreamOptions,
): AsyncGenerator<Block, void, undefined> {
  let rest: Buffer[] = [];
  let held = 0;
  let line = 0;
  for await (const chunk of bytesOf(path, size, options)) {
    const cut = lastLineStart(chunk);
    if (cut < 0) {
      rest.push(chunk);
      held += chunk.length;
      if (held <= maxHeldBytes) continue;
      throw new UnreadableDatasetError(
        path,
        `A line after line ${line} does not end within ${mebibytes(maxHeldBytes)}.`,
        "length-over-limit",
      );
    }
    const block = blockOf(Buffer.concat([...rest, chunk.subarray(0, cut)]), line, true);
    yield block;
    line += new LineIndex(block.reader.text).lineCount - 1;
    rest = [chunk.subarray(cut)];
    held = chunk.length - cut;
  }
  yield blockOf(Buffer.concat(rest), line, false);
}

function blockOf(bytes: Buffer, firstLine: number, continues: boolean): Block {
  const { text, findings } = decodeUtf8(bytes);
  return { reader: new RowReader(text, { layout: "lines", continues }), firstLine, findings };
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

/** Where a line begins that has something on it, as far back in the chunk as possible; -1 when there is none. */
function lastLineStart(chunk: Buffer): number {
  for (let at = chunk.lastIndexOf(10); at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(10, at - 1)) {
    const next = chunk[at + 1];
    if (next !== undefined && next !== 10 && next !== 13 && next !== 32 && next !== 9) return at + 1;
  }
  return -1;
}

function* rowsOf({
  reader,
  firstLine,
  findings: byteFindings,
}: Block): Generator<StreamedRow, void, undefined> {
  const { text } = reader;
  const waiting = [...reader.findings, ...byteFindings].sort((a, b) => a.span.start - b.span.start);
  let given = 0;
  for (const row of reader.rows()) {
    const from = given;
    while (given < waiting.length && (waiting[given]?.span.start ?? 0) < row.next) given++;
    yield { row, text, firstLine, findings: [...waiting.slice(from, given), ...row.findings] };
  }
  if (given === waiting.length) return;
  const end = { start: text.length, end: text.length, next: text.length };
  const row: JsonRow = { kind: "blank", ...end, node: undefined, partial: undefined, findings: [] };
  yield { row, text, firstLine, findings: waiting.slice(given) };
}

async function* bytesOf(path: string, size: number, options: RowStreamOptions): AsyncGenerator<Buffer> {
  let read = 0;
  const { signal } = options;
  for await (const chunk of createReadStream(path, {
    highWaterMark: chunkBytes,
    ...(signal && { signal }),
  })) {
    read += (chunk as Buffer).length;
    options.onProgress?.(read, size);
    yield chunk as Buffer;
  }
}
