import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { readConfig } from "../configs/read-config";
import { locateEngine } from "../training/engine";
import { Refused } from "../training/refused";
import type { ConfigText } from "../training/training-job";
import { vocabularyFiles } from "../training/vocabulary/extend-vocabulary";
import { answer, type FormatOption, formatOption, printJson, readConfigText, shown } from "./run-output";
import { startRun } from "./start-run";

export function registerExtendVocabulary(program: Command): void {
  program
    .command("extend-vocabulary")
    .description(
      "Extend a tokenizer by what a corpus teaches: trains BPE, merges it in, proves that other text is tokenised as before, and writes the tokenizer and the zip-tie map.",
    )
    .argument("<config>", "a config of stage: vocabulary, *.ziptie.yaml")
    .addOption(formatOption())
    .action((path: string, { format }: FormatOption) =>
      answer(format, async () => {
        const config = await readConfigText(path);
        const stage = readConfig(config.text, config.path).partial?.stage;
        if (stage !== undefined && stage !== "vocabulary") {
          throw new Refused(`${path} is of stage ${stage}: start it with ziptie train ${path}`);
        }
        await extendVocabulary(config, format);
      }),
    );
}

/** Runs a config of `stage: vocabulary` to its end and prints what came of it. */
export async function extendVocabulary(config: ConfigText, format: FormatOption["format"]): Promise<void> {
  const started = await startRun(config, await locateEngine());
  if (started === undefined) return;
  const { run } = started;
  const tokenizer = join(run, vocabularyFiles.tokenizer);
  if (format === "json") {
    const report = JSON.parse(await readFile(join(run, vocabularyFiles.report), "utf8"));
    printJson({ run, state: "finished", tokenizer, ...report });
    return;
  }
  process.stdout.write(await readFile(join(run, vocabularyFiles.reportInWords), "utf8"));
  process.stdout.write(
    `\nTokenizer: ${shown(tokenizer)}\nZip-tie map: ${shown(join(tokenizer, vocabularyFiles.zipTie))}\n`,
  );
}
