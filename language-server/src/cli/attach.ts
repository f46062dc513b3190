import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { RunEvent, RunSummary } from "../protocol";
import { EventTail } from "../training/event-tail";
import { Refused } from "../training/refused";
import { runFiles } from "../training/run-directory";
import { openRun, type Run, stopRun } from "../training/runs";
import { ProgressLine } from "./progress-line";
import { duration, type FormatOption, printRun, shown } from "./run-output";

/** A killed engine says nothing; it is looked for this often. */
const livenessMilliseconds = 500;

/**
 * Follows a run in the foreground until it ends and prints how it ended. The first Ctrl-C asks the engine for a checkpoint and an
 * end, the second leaves it to that and returns.
 */
export async function attach(directory: string, format: FormatOption["format"]): Promise<void> {
  const line = new ProgressLine();
  let interrupts = 0;
  let leave = () => {};
  const left = new Promise<void>((fulfil) => {
    leave = fulfil;
  });
  const onInterrupt = () => {
    if (++interrupts > 1) return leave();
    line.note("Stopping after this step, with a checkpoint. Ctrl-C again leaves the engine to it.");
    stopRun(directory).catch((error: Error) => line.note(error.message));
  };
  // Before anything is waited for: there is no moment at which Ctrl-C ends this program and not the run.
  process.on("SIGINT", onInterrupt);
  try {
    await follow(directory, line, left, () => interrupts > 1);
  } finally {
    process.off("SIGINT", onInterrupt);
    line.clear();
  }
  const { summary } = await openRun(directory);
  printRun(summary, format);
  if (summary.state === "failed" || summary.state === "interrupted") {
    process.stderr.write(`The engine's log: ${shown(join(directory, runFiles.log))}\n`);
    process.exitCode = 1;
  }
}

/** Returns when the run has ended, whichever way, or when the person has left. */
async function follow(
  directory: string,
  line: ProgressLine,
  left: Promise<void>,
  hasLeft: () => boolean,
): Promise<void> {
  const { run } = await openRun(directory);
  let wake = () => {};
  let isSeen = false;
  const tail = new EventTail(
    join(directory, runFiles.events),
    ({ events }) => {
      // What was said before is on the screen already, or belongs to an earlier session of the run.
      if (isSeen) for (const event of events) tellEvent(event, line);
      isSeen = true;
      wake();
    },
    (error) => line.note(`The run's events cannot be read: ${error.message}`),
    true,
  );
  try {
    await tail.start();
    while (!hasLeft()) {
      const summary = await summaryOf(run);
      if (!isActive(summary)) return;
      line.update(describe(summary));
      const news = new Promise<void>((fulfil) => {
        wake = fulfil;
      });
      await Promise.race([news, delay(livenessMilliseconds), left]);
    }
  } finally {
    tail.dispose();
  }
}

async function summaryOf(run: Run): Promise<RunSummary> {
  const summary = await run.summary();
  if (summary === undefined) throw new Refused(`The run directory ${run.directory} is gone.`);
  return summary;
}

function isActive({ state }: RunSummary): boolean {
  return state === "running" || state === "preparing";
}

function describe({ name, step, steps, loss, eta_seconds }: RunSummary): string {
  if (step === 0) return `${name}: loading the model, then ${steps} steps`;
  return [
    `${name}: step ${step}/${steps}`,
    ...(loss === null ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(eta_seconds === undefined ? [] : [`${duration(eta_seconds)} left`]),
  ].join("  ");
}

function tellEvent(event: RunEvent, line: ProgressLine): void {
  if (event.event === "evaluation") {
    line.note(`step ${event.step}: evaluation loss ${event.loss?.toFixed(4) ?? "not a number"}`);
  } else if (event.event === "warning") {
    line.note(`warning: ${event.message}`);
  }
}
