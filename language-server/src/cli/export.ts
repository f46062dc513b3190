import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { locateEngine } from "../training/engine";
import { type ExportDtype, exportDtypes, exportModel, mergeSource } from "../training/export";
import { interruptible } from "./interruptible";
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
  const options = { output: target, dtype: dtype ?? null };
  const exported = await interruptible("Cancelled; nothing was written.", async (hooks) => {
    await exportModel(source, options, engine, hooks);
    return target;
  });
  if (exported === undefined) return;
  const { model, adapter } = source;
  if (format === "json") printJson({ model, adapter, ...options });
  else process.stdout.write(`${shown(target)}: ${shown(adapter)} merged into ${shown(model)}\n`);
}
