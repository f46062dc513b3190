import type { Command } from "commander";
import { locateEngine } from "../training/engine";
import { openRun, resumeRun } from "../training/runs";
import { attach } from "./attach";
import { answer, type FormatOption, findRun, formatOption, printRun } from "./run-output";

interface ResumeOptions extends FormatOption {
  detach?: true;
}

export function registerResume(program: Command): void {
  program
    .command("resume")
    .description("Go on with a run that was stopped, failed or was killed, from its newest checkpoint.")
    .argument("<run>", "a run directory, or a run's name below this folder, e.g. sft-3")
    .option("--detach", "return as soon as the run goes on")
    .addOption(formatOption())
    .action((named: string, { detach, format }: ResumeOptions) =>
      answer(format, async () => {
        const run = await resumeRun(await findRun(named), await locateEngine());
        if (detach) printRun((await openRun(run)).summary, format);
        else await attach(run, format);
      }),
    );
}
