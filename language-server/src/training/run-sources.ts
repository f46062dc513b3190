import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { plainValue } from "../configs/key-path";
import { readConfig } from "../configs/read-config";
import { sha256OfFiles } from "./digests";
import { hasCode, Refused } from "./refused";
import { type RunRecord, readRunRecord, runFiles } from "./run-directory";
import { writeAside } from "./shards";

/** A file that a run was made from, as it was then. */
const sourceSchema = z.object({
  /** The key of the config that names it. */
  key: z.string(),
  path: z.string(),
  size: z.number(),
  /** Milliseconds since 1970. */
  modified: z.number(),
  sha256: z.string(),
  /** Of a dataset: its rows that were rendered by the chat template. */
  conversations: z.number().optional(),
});

type RunSource = z.infer<typeof sourceSchema>;
type SourceStamp = Omit<RunSource, "sha256" | "conversations">;

/** A file that a run is made from, and the key of the config that names it. */
export interface NamedFile {
  key: string;
  path: string;
}

/** Size and time of each file; taken before the file is read, so that what is written meanwhile shows. */
export async function stampsOf(files: readonly NamedFile[]): Promise<SourceStamp[]> {
  return Promise.all(
    files.map(async ({ key, path }) => {
      const { size, mtimeMs } = await stat(path);
      return { key, path, size, modified: mtimeMs };
    }),
  );
}

/** Writes down what a run is made from. @param conversations rows that the chat template rendered, by the dataset's path */
export async function recordSources(
  run: string,
  stamps: readonly SourceStamp[],
  digests: Readonly<Record<string, string>>,
  conversations: ReadonlyMap<string, number>,
): Promise<void> {
  const sources = stamps.map((stamp): RunSource => {
    const rows = conversations.get(stamp.path);
    return {
      ...stamp,
      sha256: digests[stamp.path] ?? "",
      ...(rows === undefined ? {} : { conversations: rows }),
    };
  });
  const text = `${JSON.stringify(sources, null, 2)}\n`;
  await writeAside(join(run, runFiles.sources), [Buffer.from(text)]);
}

/**
 * Refuses to go on with a run whose config asks for another training by now, or whose dataset, tokenizer, model or template is
 * no longer what it was. Files that are gone do not matter here: the run has its data and its config with it, and what else the
 * engine needs it misses itself.
 * @throws Refused naming each change by its key
 */
export async function refuseChangedSources(run: string): Promise<void> {
  const record = await readRunRecord(run);
  if (record === undefined) return;
  const changes = [...(await configChanges(run, record)), ...(await changedSources(run))];
  if (changes.length === 0) return;
  throw new Refused(
    `${record.name} cannot be resumed, because it would no longer be the run that was started: ${changes.join("; ")}. ` +
      `Undo that, or start a new run: ziptie train ${record.config}`,
  );
}

/** Keys that change nothing of what a run learns. */
const harmlessKeys = new Set([
  "logging_steps",
  "eval_strategy",
  "eval_steps",
  "eval_on_start",
  "per_device_eval_batch_size",
  "save_strategy",
  "save_steps",
  "save_total_limit",
  "gradient_checkpointing",
  "device",
  "output_dir",
  "judge",
  "rules",
]);

async function configChanges(run: string, { config: path }: RunRecord): Promise<string[]> {
  const now = await textOf(path);
  const then = await textOf(join(run, runFiles.config));
  if (now === null || then === null || now === then) return [];
  const before = valuesOf(then, path);
  const after = valuesOf(now, path);
  if (after === null) return [`${path} is no config any more`];
  return differences("", before ?? {}, after).map((change) => `in ${path}, ${change}`);
}

/** What a config says, defaults filled in as far as it can be read. */
function valuesOf(text: string, path: string): Record<string, unknown> | null {
  const { root, partial } = readConfig(text, path);
  if (root === null) return null;
  return { ...(plainValue(root) as Record<string, unknown>), ...partial };
}

function differences(key: string, before: unknown, now: unknown): string[] {
  if (isMapping(before) && isMapping(now)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return keys.flatMap((name) =>
      key === "" && harmlessKeys.has(name)
        ? []
        : differences(key === "" ? name : `${key}.${name}`, before[name], now[name]),
    );
  }
  const [was, is] = [JSON.stringify(before), JSON.stringify(now)];
  if (was === is) return [];
  if (was === undefined) return [`${key} is new`];
  return [is === undefined ? `${key} is gone (it was ${was})` : `${key} was ${was}, now ${is}`];
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The files that a run was made from and that are not what they were; those that are gone are not among them.
 * @param keys only files that these keys of its config name; default: all
 * @returns each in words
 * @throws Refused when the run's record of them is damaged; the signal's reason
 */
export async function changedSources(
  run: string,
  keys?: readonly string[],
  signal: AbortSignal = new AbortController().signal,
): Promise<string[]> {
  const sources = await readSources(run);
  const changes: string[] = [];
  for (const { key, path, size, modified, sha256 } of sources) {
    if (keys !== undefined && !keys.includes(key)) continue;
    const found = await stat(path).catch((error) => {
      if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES")) return null;
      throw error;
    });
    if (found === null || (found.size === size && found.mtimeMs === modified)) continue;
    const digests = await sha256OfFiles([path], () => {}, signal);
    if (digests[path] !== sha256) changes.push(`${key}: ${path} has changed`);
  }
  return changes;
}

/** The files that a run was made from, as they were; none when it has no record of them. @throws Refused when that is damaged */
export async function readSources(run: string): Promise<RunSource[]> {
  const text = await textOf(join(run, runFiles.sources));
  if (text === null) return [];
  try {
    return z.array(sourceSchema).parse(JSON.parse(text));
  } catch {
    throw new Refused(`${join(run, runFiles.sources)} is damaged, so it cannot be told what has changed.`);
  }
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "EISDIR")) return null;
    throw error;
  }
}
