import type { Command } from "commander";
import type { PlanSummary } from "../protocol";
import { performJob } from "../training/training-job";
import { ProgressLine } from "./progress-line";
import { answer, type FormatOption, formatOption, printJson, readConfigText, shown } from "./run-output";

export function registerPlan(program: Command): void {
  program
    .command("plan")
    .description(
      "Print what a training config would do: steps, tokens, what is trained, memory. Writes nothing.",
    )
    .argument("<config>", "a training config, *.ziptie.yaml")
    .addOption(formatOption())
    .action((config: string, { format }: FormatOption) => answer(format, () => plan(config, format)));
}

async function plan(path: string, format: FormatOption["format"]): Promise<void> {
  const line = new ProgressLine();
  const config = await readConfigText(path);
  try {
    const summary = await performJob(
      { task: "plan", config },
      {
        report: ({ message, fraction }) => line.update(`${message}  ${Math.round(100 * fraction)} %`),
        signal: new AbortController().signal,
      },
    );
    line.clear();
    if (format === "json") printJson(summary);
    else process.stdout.write(inText(summary));
  } finally {
    line.clear();
  }
}

/** More tensors than this are summed up. */
const listedTensors = 12;

function inText(plan: PlanSummary): string {
  const n = (value: number) => value.toLocaleString("en");
  const facts: [string, string][] = [
    ["stage", plan.stage],
    ["optimizer steps", `${n(plan.steps)} (${n(Number(plan.steps_per_epoch.toFixed(1)))} an epoch)`],
    ["rows", `${n(plan.rows)}, ${n(plan.rows_dropped)} not used, ${n(plan.rows_cut)} cut`],
    [
      "tokens an epoch",
      `${n(plan.tokens_per_epoch)}, ${(100 * plan.supervised_share).toFixed(1)} % carry loss`,
    ],
    ["parameters", `${n(plan.parameters)}, ${n(plan.trainable_parameters)} trained`],
    [
      "memory",
      `about ${megabytes(plan.memory_bytes)} (${Object.entries(plan.memory)
        .map(([what, bytes]) => `${what} ${megabytes(bytes)}`)
        .join(", ")})`,
    ],
    ["output", shown(plan.output_dir)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  const tensors = plan.trainable
    .slice(0, listedTensors)
    .map(
      ({ name, shape, learning_rate }) => `  ${name} [${shape.join(", ")}]  learning rate ${learning_rate}`,
    );
  const more = plan.trainable.length - listedTensors;
  return [
    ...facts.map(([label, value]) => `${label.padEnd(width)}  ${value}`),
    "trained:",
    ...tensors,
    ...(more > 0 ? [`  and ${n(more)} more (--format json lists all)`] : []),
    ...plan.warnings.map((warning) => `warning: ${warning}`),
    "",
  ].join("\n");
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
