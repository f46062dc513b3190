import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  unlink,
  writeFile,
} from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { runNumber } from "../configs/run-names";
import { identify, isAlive, type ProcessIdentity, processIdentitySchema } from "./process-identity";
import { hasCode } from "./refused";

/** Files of a run directory; documented in `native/README.md`. */
export const runFiles = {
  plan: "plan.json",
  config: "config.ziptie.yaml",
  run: "run.json",
  /** The files the run was made from. */
  sources: "sources.json",
  /** The chat template that it was trained with. */
  template: "chat_template.jinja",
  data: "data",
  events: "events.jsonl",
  log: "engine.log",
  /** The engine's, while it lives. */
  engineLock: "run.lock",
  /** Ours, while the data is being prepared or the engine is being started. */
  startLock: "start.lock",
  checkpoints: "checkpoints",
} as const;

export const runRecordSchema = z.object({
  /** Absolute path of the config the run was started from. */
  config: z.string(),
  /** ISO 8601. */
  started: z.string(),
  name: z.string(),
});

export type RunRecord = z.infer<typeof runRecordSchema>;

/** The run record of a directory; undefined when it is no run directory. Throws when it may not be read. */
export async function readRunRecord(directory: string): Promise<RunRecord | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, runFiles.run), "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EISDIR")) return undefined;
    throw error;
  }
  return parseJson(text, runRecordSchema);
}

/** The living process that a lock file names; undefined when there is no lock or its owner is gone. */
export async function lockHolder(lockFile: string): Promise<ProcessIdentity | undefined> {
  const identity = await readLock(lockFile);
  return identity !== undefined && (await isAlive(identity)) ? identity : undefined;
}

async function readLock(lockFile: string): Promise<ProcessIdentity | undefined> {
  try {
    return parseJson(await readFile(lockFile, "utf8"), processIdentitySchema);
  } catch {
    return undefined;
  }
}

function parseJson<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** What `run.lock` and `start.lock` of this process hold. */
async function ownIdentity(): Promise<ProcessIdentity> {
  return (await identify(process.pid)) ?? { pid: process.pid, start_time: 0 };
}

/**
 * Makes the next run directory `<outputDirectory>/<name>-<n>`, with its record, its config and its start lock in it from the
 * first moment: it is filled aside and moved into place, and a name that is taken cannot be moved onto. Two windows that
 * start at once therefore get two numbers, and each sees the other's lock.
 * @returns the absolute path
 */
export async function createRunDirectory(
  outputDirectory: string,
  record: { config: string; name: string; started: string },
  configText: string,
): Promise<string> {
  await mkdir(outputDirectory, { recursive: true });
  const aside = await mkdtemp(join(outputDirectory, `.${record.name}-`));
  try {
    await mkdir(join(aside, runFiles.data));
    await writeFile(join(aside, runFiles.config), configText);
    await writeFile(join(aside, runFiles.startLock), JSON.stringify(await ownIdentity()));
    for (let n = (await newestNumber(outputDirectory, record.name)) + 1; ; n++) {
      const name = `${record.name}-${n}`;
      await writeFile(join(aside, runFiles.run), `${JSON.stringify({ ...record, name }, null, 2)}\n`);
      try {
        await rename(aside, join(outputDirectory, name));
        return join(outputDirectory, name);
      } catch (error) {
        if (!hasCode(error, "ENOTEMPTY", "EEXIST", "ENOTDIR")) throw error;
      }
    }
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
}

async function newestNumber(outputDirectory: string, name: string): Promise<number> {
  let newest = 0;
  for (const entry of await readdir(outputDirectory)) {
    newest = Math.max(newest, runNumber(entry, name) ?? 0);
  }
  return newest;
}

/**
 * Takes the start lock of a run directory that is there already (resume).
 * @returns false when another living process holds it
 */
export async function takeStartLock(directory: string): Promise<boolean> {
  const lockFile = join(directory, runFiles.startLock);
  const own = join(directory, `.start-${process.pid}-${basename(directory)}.lock`);
  await writeFile(own, JSON.stringify(await ownIdentity()));
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        // link() never replaces, and the lock is complete the moment it has its name.
        await link(own, lockFile);
        return true;
      } catch (error) {
        if (!hasCode(error, "EEXIST")) throw error;
      }
      if ((await lockHolder(lockFile)) !== undefined) return false;
      await rm(lockFile, { force: true });
    }
    return false;
  } finally {
    await unlink(own);
  }
}

/** Hands the start lock on to the engine that was just started, so that it says the truth even if this process ends now. */
export async function passStartLock(directory: string, engine: ProcessIdentity): Promise<void> {
  const aside = join(directory, `.start-${process.pid}.lock`);
  await writeFile(aside, JSON.stringify(engine));
  await rename(aside, join(directory, runFiles.startLock));
}

export async function releaseStartLock(directory: string): Promise<void> {
  await rm(join(directory, runFiles.startLock), { force: true });
}

/** Steps of the complete checkpoints, ascending. A checkpoint is complete when it has its final name and its `state.json`. */
export async function checkpointSteps(directory: string): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir(join(directory, runFiles.checkpoints));
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES")) return [];
    throw error;
  }
  const steps: number[] = [];
  for (const name of names) {
    const step = /^step-(\d+)$/.exec(name)?.[1];
    if (step === undefined) continue;
    if (await exists(join(directory, runFiles.checkpoints, name, "state.json"))) steps.push(Number(step));
  }
  return steps.sort((a, b) => a - b);
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES")) return false;
    throw error;
  }
}
