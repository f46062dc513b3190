import type { Command } from "commander";
import { readConfig } from "../configs/read-config";
import { locateEngine } from "../training/engine";
import { openRun } from "../training/runs";
import { attach } from "./attach";
import { extendVocabulary } from "./extend-vocabulary";
import {
  answer,
  type FormatOption,
  formatOption,
  printRun,
  readConfigText,
  shown,
  WrongUsage,
} from "./run-output";
import { startRun } from "./start-run";

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
  if (readConfig(config.text, config.path).partial?.stage === "vocabulary") {
    if (detach) {
      throw new WrongUsage(
        "--detach is for training: a run that extends a vocabulary lives in this process. Leave it out.",
      );
    }
    await extendVocabulary(config, format);
    return;
  }
  const engine = await locateEngine();
  const started = await startRun(config, engine);
  if (started === undefined) return;
  const { run } = started;
  process.stderr.write(`${shown(run)}, engine ${engine.path} (${engine.origin})\n`);
  if (detach) printRun((await openRun(run)).summary, format);
  else await attach(run, format);
}
