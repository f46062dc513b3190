import type { Command } from "commander";
import type { PlanSummary } from "../protocol";
import { performJob } from "../training/training-job";
import { interruptible } from "./interruptible";
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
  const config = await readConfigText(path);
  const summary = await interruptible("Cancelled.", (hooks) => performJob({ task: "plan", config }, hooks));
  if (summary === undefined) return;
  if (format === "json") printJson(summary);
  else process.stdout.write(inText(summary));
}

function inText(plan: PlanSummary): string {
  const n = (value: number) => value.toLocaleString("en");
  const facts: [string, string][] = [
    ["stage", plan.stage],
    ["optimizer steps", `${n(plan.steps)} (${n(Number(plan.steps_per_epoch.toFixed(1)))} an epoch)`],
    [
      "rows",
      `${n(plan.rows)}, ${n(plan.rows_dropped)} not used, ${n(plan.rows_cut)} cut${plan.packs === undefined ? "" : `, in ${n(plan.packs)} ${plan.packs === 1 ? "pack" : "packs"}`}`,
    ],
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
    ["gradient checkpointing", plan.recompute],
    ["output", shown(plan.output_dir)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  return [
    ...facts.map(([label, value]) => `${label.padEnd(width)}  ${value}`),
    "trained:",
    ...trainedTensors(plan).map((tensor) => `  ${tensor}`),
    ...plan.warnings.map((warning) => `warning: ${warning}`),
    "",
  ].join("\n");
}

/** Every trained tensor; those that are alike in each layer share a line. */
function trainedTensors({ trainable }: PlanSummary): string[] {
  const lines = new Map<string, { layers: number[]; rest: string }>();
  for (const { name, shape, learning_rate } of trainable) {
    const rest = `[${shape.join(", ")}]  learning rate ${learning_rate}`;
    const layer = /(?<=\.layers\.)\d+(?=\.)/.exec(name)?.[0];
    const pattern = layer === undefined ? name : name.replace(`.layers.${layer}.`, ".layers.*.");
    const key = `${pattern} ${rest}`;
    const line = lines.get(key) ?? { layers: [], rest: key };
    if (layer !== undefined) line.layers.push(Number(layer));
    lines.set(key, line);
  }
  return [...lines.values()].map(({ layers, rest }) => {
    if (layers.length === 0) return rest;
    const isRun = layers.every((layer, i) => layer === (layers[0] as number) + i);
    const named = isRun && layers.length > 1 ? `${layers[0]}-${layers.at(-1)}` : layers.join(",");
    return rest.replace(".layers.*.", layers.length === 1 ? `.layers.${named}.` : `.layers.{${named}}.`);
  });
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
