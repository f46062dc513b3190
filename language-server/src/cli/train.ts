import type { Command } from "commander";
import { locateEngine } from "../training/engine";
import { openRun } from "../training/runs";
import { performJob } from "../training/training-job";
import { attach } from "./attach";
import { ProgressLine } from "./progress-line";
import { answer, type FormatOption, formatOption, printRun, readConfigText, shown } from "./run-output";

interface TrainOptions extends FormatOption {
  detach?: true;
}

export function registerTrain(program: Command): void {
  program
    .command("train")
    .description(
      "Start a run of a training config and follow it to its end. Ctrl-C stops it with a checkpoint.",
    )
    .argument("<config>", "a training config, *.ziptie.yaml")
    .option("--detach", "return as soon as the run has been started")
    .addOption(formatOption())
    .action((config: string, options: TrainOptions) => answer(options.format, () => train(config, options)));
}

async function train(path: string, { detach, format }: TrainOptions): Promise<void> {
  const config = await readConfigText(path);
  const engine = await locateEngine();
  const line = new ProgressLine();
  const controller = new AbortController();
  const cancel = () => controller.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, cancel);
  let run: string;
  try {
    const started = await performJob(
      { task: "start", config, engine },
      {
        report: ({ message, fraction }) => line.update(`${message}  ${Math.round(100 * fraction)} %`),
        signal: controller.signal,
      },
    );
    run = started.run;
    for (const warning of started.warnings) line.note(`warning: ${warning}`);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    line.note("Cancelled; no run was started.");
    process.exitCode = 1;
    return;
  } finally {
    line.clear();
    for (const signal of signals) process.off(signal, cancel);
  }
  line.note(`${shown(run)}, engine ${engine.path} (${engine.origin})`);
  if (detach) printRun((await openRun(run)).summary, format);
  else await attach(run, format);
}
