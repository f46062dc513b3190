import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { RunState, RunSummary } from "../protocol";
import { type EngineLocation, startEngine } from "./engine";
import { EventReader } from "./event-reader";
import { isAlive, type ProcessIdentity, terminate } from "./process-identity";
import { hasCode, Refused, RunningAlready } from "./refused";
import {
  checkpointSteps,
  exists,
  lockHolder,
  type RunRecord,
  readRunRecord,
  runFiles,
  takeStartLock,
} from "./run-directory";
import { RunProgress } from "./run-progress";
import { refuseChangedSources } from "./run-sources";

/** One run directory, read anew with each question; what was read of its events is kept, so a question costs what is new. */
export class Run {
  readonly #reader: EventReader;
  #progress = new RunProgress();
  #planned = 0;

  constructor(
    /** Absolute path of the run directory. */
    readonly directory: string,
  ) {
    this.#reader = new EventReader(join(directory, runFiles.events));
  }

  /** As it stands now; undefined when the directory is no run (any more) or may not be read. */
  async summary(): Promise<RunSummary | undefined> {
    let record: RunRecord | undefined;
    try {
      record = await readRunRecord(this.directory);
    } catch {
      return undefined;
    }
    if (record === undefined) return undefined;
    // In this order, against the order in which a run passes through them: nothing can slip by between two questions.
    const starter = await lockHolder(join(this.directory, runFiles.startLock));
    const engine = await lockHolder(join(this.directory, runFiles.engineLock));
    let unreadable: string | undefined;
    try {
      const { events, restarted } = await this.#reader.read();
      if (restarted) this.#progress = new RunProgress();
      for (const event of events) this.#progress.add(event);
    } catch (error) {
      unreadable = `The run's events cannot be read: ${(error as Error).message}`;
    }
    const checkpoints = await checkpointSteps(this.directory);
    const newest = checkpoints.at(-1);
    const progress = this.#progress;
    const state = await this.#state(starter, engine);
    const reason = unreadable ?? reasonOf(state, progress, newest, await this.#hasPlan());
    const active = state === "preparing" || state === "running";
    return {
      run: this.directory,
      name: record.name,
      state,
      step: progress.step,
      steps: progress.steps || (await this.#plannedSteps()),
      loss: progress.loss,
      evaluation_loss: progress.evaluationLoss,
      started: record.started,
      ...(!active && progress.lastTime !== undefined ? { ended: progress.lastTime } : {}),
      config: record.config,
      ...(state === "running" && progress.etaSeconds !== undefined
        ? { eta_seconds: progress.etaSeconds }
        : {}),
      ...(reason !== undefined ? { reason } : {}),
      ...(newest !== undefined ? { checkpoint: newest } : {}),
      resumable: !active && state !== "finished" && newest !== undefined && (await this.#hasPlan()),
      exportable: await exists(join(this.directory, "adapter", "adapter_config.json")),
    };
  }

  /** The engine that trains this run now. */
  engine(): Promise<ProcessIdentity | undefined> {
    return lockHolder(join(this.directory, runFiles.engineLock));
  }

  /** What a finished run wrote: an HF model or a PEFT adapter directory. */
  get output(): string | undefined {
    const end = this.#progress.end;
    return end?.event === "run_finished" ? end.output : undefined;
  }

  async #state(starter: ProcessIdentity | undefined, engine: ProcessIdentity | undefined): Promise<RunState> {
    const end = this.#progress.end;
    if (engine !== undefined && (end === undefined || (await this.#lockIsNewerThan(end.time))))
      return "running";
    if (starter !== undefined && engine === undefined) return "preparing";
    if (end?.event === "run_failed") return "failed";
    return end?.state ?? "interrupted";
  }

  /** An engine that has just said its last word still lives for a moment; one that resumes took its lock after that word. */
  async #lockIsNewerThan(time: string): Promise<boolean> {
    try {
      return (await stat(join(this.directory, runFiles.engineLock))).mtimeMs > Date.parse(time);
    } catch {
      return false;
    }
  }

  /** Optimizer steps as the plan has them, before the engine has said a word; 0 without a plan. */
  async #plannedSteps(): Promise<number> {
    try {
      const plan = JSON.parse(await readFile(join(this.directory, runFiles.plan), "utf8"));
      this.#planned = Number.isSafeInteger(plan.schedule.steps) ? plan.schedule.steps : 0;
    } catch {
      // Not written yet, or nothing that can be read: the engine will say what is wrong with it.
    }
    return this.#planned;
  }

  #hasPlan(): Promise<boolean> {
    return exists(join(this.directory, runFiles.plan));
  }
}

function reasonOf(
  state: RunState,
  progress: RunProgress,
  checkpoint: number | undefined,
  hasPlan: boolean,
): string | undefined {
  if (state === "failed" && progress.end?.event === "run_failed") return progress.end.reason;
  if (state !== "interrupted") return undefined;
  if (!hasPlan) return "Its preparation was broken off before the engine was started. Start it again.";
  return checkpoint === undefined
    ? `The engine was ended at step ${progress.step} without a word and before its first checkpoint. Start it again.`
    : `The engine was ended at step ${progress.step} without a word. It can be resumed from step ${checkpoint}.`;
}

/** All runs inside some output directories, newest first. */
export class RunsRegistry {
  #runs = new Map<string, Run>();

  /** @param outputDirectories absolute; missing ones hold no runs, and a run directory itself stands for its run */
  async list(outputDirectories: Iterable<string>): Promise<RunSummary[]> {
    const known = this.#runs;
    this.#runs = new Map();
    for (const directory of outputDirectories) {
      for (const candidate of [directory, ...(await subdirectories(directory))]) {
        this.#runs.set(candidate, known.get(candidate) ?? this.#runs.get(candidate) ?? new Run(candidate));
      }
    }
    const summaries: RunSummary[] = [];
    for (const [directory, run] of this.#runs) {
      const summary = await run.summary();
      if (summary === undefined) this.#runs.delete(directory);
      else summaries.push(summary);
    }
    return summaries.sort(newestFirst);
  }
}

export function newestFirst(a: RunSummary, b: RunSummary): number {
  return b.started.localeCompare(a.started) || b.name.localeCompare(a.name, "en", { numeric: true });
}

async function subdirectories(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith("."))
      .map((entry) => join(directory, entry.name));
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "EPERM", "ELOOP")) return [];
    throw error;
  }
}

/** The run of a directory. @throws Refused when it holds none */
export async function openRun(path: string): Promise<{ run: Run; summary: RunSummary }> {
  const directory = resolve(path);
  const run = new Run(directory);
  const summary = await run.summary();
  if (summary !== undefined) return { run, summary };
  throw new Refused(
    (await exists(directory))
      ? `${directory} is no run directory: it has no readable ${runFiles.run}.`
      : `There is no run at ${directory}.`,
  );
}

/**
 * Asks the run's engine to write a checkpoint and end. Answers when it has been told; it ends after the step it is at.
 * @returns the engine that was told
 */
export async function stopRun(path: string): Promise<ProcessIdentity> {
  const { run, summary } = await openRun(path);
  const engine = await run.engine();
  if (engine === undefined) {
    const starter = await lockHolder(join(run.directory, runFiles.startLock));
    throw new Refused(
      starter === undefined
        ? `${summary.name} is not running: it is ${summary.state}.`
        : `${summary.name} is still being prepared by process ${starter.pid}. Cancel it where it was started.`,
    );
  }
  try {
    if (!(await terminate(engine)))
      throw new Refused(`${summary.name} is not running: its engine has just ended.`);
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    throw new Refused(`${summary.name} belongs to another user: process ${engine.pid} may not be stopped.`);
  }
  return engine;
}

/** Waits until a process is gone. */
export async function waitForEnd(engine: ProcessIdentity): Promise<void> {
  while (await isAlive(engine)) await delay(50);
}

/**
 * Starts the engine again on a run that ended early, from its newest complete checkpoint.
 * @returns the run directory
 * @throws RunningAlready, Refused
 */
export async function resumeRun(path: string, engine: EngineLocation): Promise<string> {
  const { run, summary } = await openRun(path);
  if (summary.state === "running" || summary.state === "preparing") throw new RunningAlready(run.directory);
  if (summary.state === "finished")
    throw new Refused(`${summary.name} has finished; there is nothing left to resume.`);
  if (!summary.resumable) {
    throw new Refused(
      `${summary.name} cannot be resumed: it has no complete checkpoint. Start its config again.`,
    );
  }
  await refuseChangedSources(run.directory);
  // An engine that has said its last word still lives for a moment, and its lock with it.
  const last = await run.engine();
  if (last !== undefined) await waitForEnd(last);
  if (!(await takeStartLock(run.directory))) throw new RunningAlready(run.directory);
  await startEngine(engine, run.directory, "resume");
  return run.directory;
}
