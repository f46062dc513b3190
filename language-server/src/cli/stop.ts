import type { Command } from "commander";
import { openRun, stopRun, waitForEnd } from "../training/runs";
import { answer, type FormatOption, findRun, formatOption, printRun } from "./run-output";

export function registerStop(program: Command): void {
  program
    .command("stop")
    .description("Ask a run for a checkpoint and an end, and wait until it has ended.")
    .argument("<run>", "a run directory, or a run's name below this folder, e.g. sft-3")
    .addOption(formatOption())
    .action((named: string, { format }: FormatOption) =>
      answer(format, async () => {
        const run = await findRun(named);
        const engine = await stopRun(run);
        process.stderr.write("Stopping after this step, with a checkpoint.\n");
        await waitForEnd(engine);
        printRun((await openRun(run)).summary, format);
      }),
    );
}
