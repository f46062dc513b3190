import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { GenerationEvent, Refusal } from "../protocol";
import { graceMilliseconds } from "./engine-process";
import type { Progress } from "./progress";
import { Refused, RunningAlready } from "./refused";
import { type JobHooks, performJob, type TrainingJob, type TrainingJobResult } from "./training-job";

/** What the process that does a job says. */
export type JobMessage =
  | { type: "ready" }
  | { type: "progress"; progress: Progress }
  | { type: "directory"; run: string | null }
  | { type: "generated"; event: GenerationEvent }
  | { type: "done"; result: TrainingJobResult[keyof TrainingJobResult] }
  | { type: "refused"; refusal: Refusal }
  | { type: "already"; run: string }
  | { type: "failed"; message: string };

/** What it is told. */
export type JobOrder = { type: "job"; job: TrainingJob } | { type: "cancel" };

/** The command of `cli.js` that does a job for a parent; it is not for people. */
export const jobCommand = "training-job";

/** So long a cancelled job may take to clean up behind itself: its engine may have to be killed first. */
const cancelMilliseconds = graceMilliseconds + 5000;

/**
 * Does a job in a process of its own, so that neither a large dataset nor a crash in the tokenizer touches the one that answers
 * the editor. Run from the sources, where there is no bundle to start, it is done on this thread.
 * @throws Refused, RunningAlready, AbortError
 */
export async function runJob<Job extends TrainingJob>(
  job: Job,
  hooks: JobHooks,
): Promise<TrainingJobResult[Job["task"]]> {
  const program = join(__dirname, "cli.js");
  if (!existsSync(program)) return performJob(job, hooks);
  hooks.signal.throwIfAborted();
  // A debugger's port is the parent's alone.
  const child = fork(program, [jobCommand], { execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] });
  return (await supervise(child, job, hooks)) as TrainingJobResult[Job["task"]];
}

function supervise(
  child: ChildProcess,
  job: TrainingJob,
  hooks: JobHooks,
): Promise<TrainingJobResult[keyof TrainingJobResult]> {
  return new Promise((fulfil, reject) => {
    let half: string | null = null;
    let isLaunching = false;
    let complaint = "";
    let killer: NodeJS.Timeout | undefined;
    const tell = (order: JobOrder) => {
      if (child.connected) child.send(order, () => {});
    };
    const cancel = () => {
      tell({ type: "cancel" });
      // Once the engine is being started there is nothing left to take back.
      killer = setTimeout(() => isLaunching || child.kill("SIGKILL"), cancelMilliseconds);
    };
    const settle = (conclude: () => void) => {
      hooks.signal.removeEventListener("abort", cancel);
      clearTimeout(killer);
      half = null;
      conclude();
      if (child.connected) child.disconnect();
    };
    hooks.signal.addEventListener("abort", cancel, { once: true });
    child.stderr?.on("data", (data) => {
      complaint = (complaint + data).slice(-2000);
    });
    child.on("message", (message: JobMessage) => {
      switch (message.type) {
        case "ready":
          return tell({ type: "job", job });
        case "progress":
          return hooks.report(message.progress);
        case "directory":
          half = message.run;
          isLaunching = half === null;
          return hooks.onDirectory?.(half);
        case "generated":
          return hooks.onGenerated?.(message.event);
        case "done":
          return settle(() => fulfil(message.result));
        case "refused":
          return settle(() => reject(new Refused(message.refusal.refused, message.refusal.location)));
        case "already":
          return settle(() => reject(new RunningAlready(message.run)));
        case "failed":
          return settle(() =>
            reject(hooks.signal.aborted ? hooks.signal.reason : new Error(message.message)),
          );
      }
    });
    child.on("error", (error) => settle(() => reject(error)));
    child.on("close", async (code, signal) => {
      // It died without a last word: what it was making is of no use.
      if (half !== null) await rm(half, { recursive: true, force: true });
      const how = signal === null ? `with status ${code}` : `by ${signal}`;
      settle(() =>
        reject(
          hooks.signal.aborted
            ? hooks.signal.reason
            : new Error(`The process that does this work ended ${how}. ${complaint.trim()}`.trim()),
        ),
      );
    });
  });
}

/** The other side: does one job for the parent process, then ends. */
export async function serveJob(): Promise<void> {
  const say = (message: JobMessage) => {
    if (process.connected) process.send?.(message);
  };
  const controller = new AbortController();
  const job = await new Promise<TrainingJob>((fulfil) => {
    process.on("message", (order: JobOrder) => {
      if (order.type === "job") fulfil(order.job);
      else controller.abort();
    });
    say({ type: "ready" });
  });
  // A start goes on when its window is closed: a run outlives it. Nobody reads a plan, or answers, then.
  process.on("disconnect", () => {
    if (job.task !== "start") controller.abort();
  });
  try {
    const result = await performJob(job, {
      signal: controller.signal,
      report: (progress) => say({ type: "progress", progress }),
      onDirectory: (run) => say({ type: "directory", run }),
      onGenerated: (event) => say({ type: "generated", event }),
    });
    say({ type: "done", result });
  } catch (error) {
    if (error instanceof Refused) say({ type: "refused", refusal: error.toRefusal() });
    else if (error instanceof RunningAlready) say({ type: "already", run: error.run });
    else say({ type: "failed", message: (error as Error).message });
  }
  if (process.connected) process.disconnect();
}
