/**
 * Reads a corpus text by text, in memory that does not grow with it. Which file holds what is told by its name:
 *
 * - `*.conllu`: a treebank. A sentence is a text, its gold words are its syntactic words: the lines with a whole number.
 * - `*.tsv`: the number of gold words, a tab, the text; a heading may stand first.
 * - a dataset (JSON or JSONL with rows): every content of a row is a text: a turn, a prompt, a completion.
 * - anything else is plain text: a line is a text; blank lines are none.
 *
 * Of a folder, all files of these kinds with a common ending are read, in the order of their names.
 */
import { createReadStream } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Example } from "../datasets/conversation";
import { readDataset } from "../datasets/read-dataset";
import { documentKind, kindHeadLength } from "../documents/kind";
import { UnreadableDatasetError } from "../documents/row-stream";
import { ConlluReader } from "./conllu";

export interface CorpusText {
  readonly text: string;
  /** Gold words, where the corpus says how many. */
  readonly words: number | undefined;
}

export interface CorpusOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  readonly onProgress?: ((read: number, total: number) => void) | undefined;
}

/** A corpus cannot be read. The message names the file, and the line where there is one. */
export class CorpusError extends Error {
  override readonly name = "CorpusError";
  constructor(
    readonly path: string,
    message: string,
    /** Nothing is there, which is wrong usage on a command line. */
    readonly isMissing = false,
  ) {
    super(message);
  }
}

/** A line longer than this is taken in parts. In UTF-16 units. */
const longestLine = 8 * 1024 * 1024;

const endingsInFolders = new Set([".txt", ".md", ".conllu", ".tsv", ".jsonl", ".ndjson", ".json"]);

/**
 * @param paths files and folders
 * @throws CorpusError; the signal's reason
 */
export async function* readCorpus(
  paths: readonly string[],
  options: CorpusOptions = {},
): AsyncGenerator<CorpusText, void, undefined> {
  const files: { path: string; size: number }[] = [];
  for (const path of paths) files.push(...(await filesOf(path)));
  if (files.length === 0) {
    throw new CorpusError(paths[0] ?? "", `There is nothing to read in ${paths.join(", ")}.`, true);
  }
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  for (const { path, size } of files) {
    const onProgress = (read: number) => options.onProgress?.(before + Math.min(read, size), total);
    try {
      yield* textsOf(path, { signal: options.signal, onProgress });
    } catch (error) {
      throw options.signal?.aborted ? error : asCorpusError(path, error);
    }
    before += size;
  }
  options.onProgress?.(total, total);
}

async function filesOf(path: string, isNamed = true): Promise<{ path: string; size: number }[]> {
  let info: Awaited<ReturnType<typeof stat>>;
  try {
    info = await stat(path);
  } catch (error) {
    if (!isNamed) return [];
    throw asCorpusError(path, error);
  }
  if (info.isFile()) {
    if (!isNamed && !(await isReadInFolder(path))) return [];
    return [{ path, size: info.size }];
  }
  if (!info.isDirectory()) {
    if (!isNamed) return [];
    // A pipe would be waited for, a device never ends.
    throw new CorpusError(path, `${path} is neither a file nor a folder.`, true);
  }
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    throw asCorpusError(path, error);
  });
  const found: { path: string; size: number }[] = [];
  for (const entry of entries.sort((left, right) => (left.name < right.name ? -1 : 1))) {
    // A link may lead back up.
    if (entry.name.startsWith(".") || entry.name === "node_modules" || entry.isSymbolicLink()) continue;
    found.push(...(await filesOf(join(path, entry.name), false)));
  }
  return found;
}

async function isReadInFolder(path: string): Promise<boolean> {
  const ending = extname(path).toLowerCase();
  if (!endingsInFolders.has(ending)) return false;
  return ending !== ".json" || (await isDataset(path));
}

async function isDataset(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(kindHeadLength), 0, kindHeadLength, 0);
    return documentKind(path, undefined, buffer.toString("utf8", 0, bytesRead)) === "dataset";
  } finally {
    await file.close();
  }
}

interface ReadOptions {
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (read: number) => void;
}

async function* textsOf(path: string, options: ReadOptions): AsyncGenerator<CorpusText, void, undefined> {
  const ending = extname(path).toLowerCase();
  if (ending === ".conllu") yield* treebankSentences(path, options);
  else if (ending === ".tsv") yield* countedTexts(path, options);
  else if (await isDataset(path)) yield* datasetTexts(path, options);
  else
    for await (const { line } of linesOf(path, options))
      if (line !== "") yield { text: line, words: undefined };
}

async function* treebankSentences(
  path: string,
  options: ReadOptions,
): AsyncGenerator<CorpusText, void, undefined> {
  const reader = new ConlluReader();
  for await (const { line, number } of linesOf(path, options)) {
    const done = reader.line(line);
    if (typeof done === "string") throw new CorpusError(path, `${path}:${number}: ${done}`);
    if (done) yield done;
  }
  const last = reader.end();
  if (last) yield last;
}

async function* countedTexts(
  path: string,
  options: ReadOptions,
): AsyncGenerator<CorpusText, void, undefined> {
  for await (const { line, number } of linesOf(path, options)) {
    const tab = line.indexOf("\t");
    const count = line.slice(0, tab);
    if (tab > 0 && /^\d{1,9}$/.test(count)) yield { text: line.slice(tab + 1), words: Number(count) };
    else if (number > 1 && line !== "") {
      const message = "the number of gold words, a tab and the text are expected here.";
      throw new CorpusError(path, `${path}:${number}: ${message}`);
    }
  }
}

async function* datasetTexts(
  path: string,
  { signal, onProgress }: ReadOptions,
): AsyncGenerator<CorpusText, void, undefined> {
  for await (const { example } of readDataset(path, { signal, onProgress })) {
    if (!example) continue;
    for (const text of contentsOf(example)) if (text !== "") yield { text, words: undefined };
  }
}

/** What a dataset's row says, without the template's words. */
export function contentsOf(example: Example): string[] {
  if (example.kind === "text") return [example.text];
  if (example.kind === "prompt-completion") return [example.prompt.content, example.completion.content];
  return example.conversation.turns.map(({ content }) => content);
}

async function* linesOf(
  path: string,
  { signal, onProgress }: ReadOptions,
): AsyncGenerator<{ line: string; number: number }, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let read = 0;
  let number = 0;
  let rest = "";
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    let text: string;
    try {
      text = decoder.decode(chunk, { stream: true });
    } catch {
      throw new CorpusError(path, `${path} is not UTF-8, somewhere after byte ${read}. Save it as UTF-8.`);
    }
    read += chunk.length;
    onProgress(read);
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines)
      yield { line: line.endsWith("\r") ? line.slice(0, -1) : line, number: ++number };
    while (rest.length > longestLine) {
      const end = longestLine - (/[\ud800-\udbff]/.test(rest[longestLine - 1] ?? "") ? 1 : 0);
      yield { line: rest.slice(0, end), number: number + 1 };
      rest = rest.slice(end);
    }
  }
  try {
    rest += decoder.decode();
  } catch {
    throw new CorpusError(path, `${path} ends within a character. It is cut off, or not UTF-8.`);
  }
  if (rest !== "") yield { line: rest, number: number + 1 };
}

function asCorpusError(path: string, error: unknown): CorpusError {
  if (error instanceof CorpusError) return error;
  if (error instanceof UnreadableDatasetError) return new CorpusError(path, error.message);
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") return new CorpusError(path, `${path} is not there.`, true);
  const reason = error instanceof Error ? error.message : String(error);
  return new CorpusError(path, `${path} cannot be read: ${reason}`);
}
