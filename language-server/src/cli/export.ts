import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { locateEngine } from "../training/engine";
import { type ExportDtype, exportDtypes, exportModel, mergeSource } from "../training/export";
import { ProgressLine } from "./progress-line";
import { answer, type FormatOption, findRun, formatOption, printJson, shown } from "./run-output";

interface ExportOptions extends FormatOption {
  output?: string;
  dtype?: ExportDtype;
}

export function registerExport(program: Command): void {
  program
    .command("export")
    .description("Merge an adapter into its model and write the whole as a Hugging Face directory.")
    .argument("<adapter>", "a run directory, a run's name below this folder, or a PEFT adapter directory")
    .option(
      "--output <directory>",
      "where to write; it may not exist yet (default: merged/ in the run, or beside the adapter)",
    )
    .addOption(
      new Option("--dtype <type>", "type of the weights (default: as the model's files have them)").choices(
        exportDtypes,
      ),
    )
    .addOption(formatOption())
    .action((adapter: string, options: ExportOptions) =>
      answer(options.format, () => exportMerged(adapter, options)),
    );
}

async function exportMerged(named: string, { output, dtype, format }: ExportOptions): Promise<void> {
  const source = await mergeSource(await findRun(named));
  const engine = await locateEngine();
  const target = output === undefined ? source.output : resolve(output);
  const line = new ProgressLine();
  const controller = new AbortController();
  const cancel = () => controller.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, cancel);
  try {
    await exportModel(source, { output: target, dtype: dtype ?? null }, engine, {
      report: ({ message, fraction }) => line.update(`${message}  ${Math.round(100 * fraction)} %`),
      signal: controller.signal,
    });
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    line.note("Cancelled; nothing was written.");
    process.exitCode = 1;
    return;
  } finally {
    line.clear();
    for (const signal of signals) process.off(signal, cancel);
  }
  const { model, adapter } = source;
  if (format === "json") printJson({ output: target, model, adapter, dtype: dtype ?? null });
  else process.stdout.write(`${shown(target)}: ${shown(adapter)} merged into ${shown(model)}\n`);
}
