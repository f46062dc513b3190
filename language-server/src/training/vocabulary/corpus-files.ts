import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import type { TextSource } from "../../configs/vocabulary-plan";
import { rowFormat, sampledRows } from "../../datasets/format";
import { streamRows, UnreadableDatasetError } from "../../documents/row-stream";
import { type CorpusText, readCorpus } from "../../tokenizers/corpus";
import type { Reporter } from "../progress";
import { pacer } from "../progress";

/** A file of texts that the engine reads by itself. */
export type CorpusFile =
  | { readonly path: string; readonly format: "text" }
  | { readonly path: string; readonly format: "jsonl"; readonly field: "text" };

/** The texts of some sources, in order; a source's `sample` first ones of it. */
export async function* textsOf(
  sources: readonly TextSource[],
  signal: AbortSignal,
  onProgress?: (read: number, total: number) => void,
): AsyncGenerator<CorpusText, void, undefined> {
  for (const { path, sample } of sources) {
    let taken = 0;
    for await (const text of readCorpus([path], { signal, onProgress })) {
      if (taken++ === sample) break;
      yield text;
    }
  }
}

/**
 * The sources as files that the engine reads: those that it can as they are, texts of all others written to `directory`.
 * @throws CorpusError; AbortError
 */
export async function corpusFiles(
  sources: readonly TextSource[],
  directory: string,
  report: Reporter,
  signal: AbortSignal,
): Promise<CorpusFile[]> {
  const files: CorpusFile[] = [];
  for (const source of sources) {
    const direct = source.sample === null ? await readableFiles(source.path, signal) : null;
    if (direct) files.push(...direct);
    else {
      const path = join(directory, `corpus-${files.length + 1}.jsonl`);
      await writeTexts(source, path, report, signal);
      files.push({ path, format: "jsonl", field: "text" });
    }
  }
  return files;
}

/** null: its texts have to be taken out first. */
async function readableFiles(path: string, signal: AbortSignal): Promise<CorpusFile[] | null> {
  const info = await stat(path).catch(() => null);
  if (info?.isDirectory()) {
    const entries = (await readdir(path, { withFileTypes: true })).filter(
      ({ name }) => !name.startsWith("."),
    );
    const isPlain = entries.every((entry) => entry.isFile() && entry.name.endsWith(".txt"));
    // `readCorpus` says that there is nothing to read in an empty folder.
    if (!isPlain || entries.length === 0) return null;
    const names = entries.map(({ name }) => name).sort();
    return names.map((name) => ({ path: join(path, name), format: "text" }));
  }
  switch (extname(path).toLowerCase()) {
    case ".txt":
    case ".md":
      return [{ path, format: "text" }];
    case ".jsonl":
    case ".ndjson":
      return (await holdsTexts(path, signal)) ? [{ path, format: "jsonl", field: "text" }] : null;
    default:
      return null;
  }
}

async function holdsTexts(path: string, signal: AbortSignal): Promise<boolean> {
  let rows = 0;
  try {
    for await (const { row } of streamRows(path, { signal })) {
      if (row.kind !== "row") continue;
      if (!row.node || rowFormat(row.node) !== "text") return false;
      if (++rows === sampledRows) break;
    }
  } catch (error) {
    if (error instanceof UnreadableDatasetError) return false;
    throw error;
  }
  return rows > 0;
}

async function writeTexts(
  source: TextSource,
  path: string,
  report: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const file = createWriteStream(path);
  const failed = once(file, "error").then(([error]) => Promise.reject(error));
  const pace = pacer(signal);
  const onProgress = (read: number, total: number) =>
    report({ message: "Reading the corpus", fraction: total > 0 ? read / total : 1 });
  const write = async () => {
    for await (const { text } of textsOf([source], signal, onProgress)) {
      await pace();
      if (!file.write(`${JSON.stringify({ text })}\n`)) await once(file, "drain");
    }
    file.end();
    await once(file, "finish");
  };
  try {
    await Promise.race([write(), failed]);
  } finally {
    failed.catch(() => {});
    file.destroy();
  }
}
