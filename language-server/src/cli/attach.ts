import { join } from "node:path";
import type { RunEvent, RunSummary } from "../protocol";
import { EventTail } from "../training/event-tail";
import { isAlive } from "../training/process-identity";
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
export async function attach(run: string, format: FormatOption["format"]): Promise<void> {
  const line = new ProgressLine();
  const opened = await openRun(run);
  const engine = await opened.run.engine();
  let interrupts = 0;
  let leave = () => {};
  const left = new Promise<void>((fulfil) => {
    leave = fulfil;
  });
  const onInterrupt = () => {
    if (++interrupts > 1) return leave();
    line.note("Stopping after this step, with a checkpoint. Ctrl-C again leaves the engine to it.");
    stopRun(run).catch((error: Error) => line.note(error.message));
  };
  process.on("SIGINT", onInterrupt);
  let wake = () => {};
  let isSeen = false;
  const tail = new EventTail(
    join(run, runFiles.events),
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
    for (;;) {
      const isGone = engine === undefined || !(await isAlive(engine));
      const summary = await summaryOf(opened.run);
      if (isGone || !isActive(summary)) break;
      line.update(describe(summary));
      const news = new Promise<void>((fulfil) => {
        wake = fulfil;
      });
      const timer = new Promise<void>((fulfil) => setTimeout(fulfil, livenessMilliseconds));
      await Promise.race([news, timer, left]);
      if (interrupts > 1) break;
    }
  } finally {
    tail.dispose();
    process.off("SIGINT", onInterrupt);
    line.clear();
  }
  const summary = await summaryOf(opened.run);
  printRun(summary, format);
  if (summary.state === "failed" || summary.state === "interrupted") {
    process.stderr.write(`The engine's log: ${shown(join(run, runFiles.log))}\n`);
    process.exitCode = 1;
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
