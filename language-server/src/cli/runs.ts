import type { Command } from "commander";
import type { RunSummary } from "../protocol";
import { outputDirectories } from "../training/discovery";
import { RunsRegistry } from "../training/runs";
import { answer, duration, type FormatOption, formatOption, printJson, shown } from "./run-output";

export function registerRuns(program: Command): void {
  program
    .command("runs")
    .description("List the runs below these folders, and those of the configs found there, newest first.")
    .argument("[path...]", "folders; the current one if none is given")
    .addOption(formatOption())
    .action((paths: string[], { format }: FormatOption) =>
      answer(format, async () => {
        const folders = paths.length > 0 ? paths : ["."];
        const runs = await new RunsRegistry().list(await outputDirectories(folders));
        if (format === "json") printJson({ runs });
        else process.stdout.write(table(runs));
      }),
    );
}

function table(runs: readonly RunSummary[]): string {
  if (runs.length === 0) return "No runs. Start one with: ziptie train CONFIG\n";
  const rows = [
    ["run", "state", "step", "loss", "left", "started"],
    ...runs.map(({ run, state, step, steps, loss, eta_seconds, started }) => [
      shown(run),
      state,
      steps > 0 ? `${step}/${steps}` : "-",
      loss?.toFixed(4) ?? "-",
      eta_seconds === undefined ? "-" : duration(eta_seconds),
      started.replace(/\.\d+Z$/, "Z"),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
