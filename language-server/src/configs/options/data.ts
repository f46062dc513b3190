import { datasetEntries } from "../dataset-entries";
import type { OptionReport } from "./report";

export function evaluationOptions(report: OptionReport): void {
  const { eval_strategy: strategy } = report.config;
  if (!report.has("eval_dataset")) {
    if (strategy !== "no") {
      report.missing(
        "eval_strategy",
        `\`eval_strategy: ${strategy}\` needs an \`eval_dataset\` to evaluate on.`,
      );
    }
    if (report.config.eval_on_start) {
      report.missing("eval_on_start", "`eval_on_start: true` needs an `eval_dataset` to evaluate on.");
    }
  }
  if (report.has("eval_steps") && strategy !== "steps") {
    report.incompatible("eval_steps", `With \`eval_strategy: ${strategy}\`, \`eval_steps\` is ignored.`);
  }
}

export function checkpointsOptions(report: OptionReport): void {
  const { save_strategy: strategy } = report.config;
  if (report.has("save_steps") && strategy !== "steps") {
    report.incompatible("save_steps", `With \`save_strategy: ${strategy}\`, \`save_steps\` is ignored.`);
  }
}

export function conversationOptions(report: OptionReport): void {
  const { stage } = report.config;
  const wanted = stage === "pretrain" ? "text" : "conversations";
  for (const key of ["dataset", "eval_dataset"] as const) {
    for (const { path, entry } of datasetEntries(report.config, key)) {
      if (!entry.format || (entry.format === "text") === (stage === "pretrain")) continue;
      if (stage === undefined || stage === "vocabulary") continue;
      report.unfitting(
        [...path, "format"],
        `\`stage: ${stage}\` trains on ${wanted}; \`format: ${entry.format}\` is not that.`,
      );
    }
  }
  if (report.config.stage === "pretrain" && report.has("chat_template_path")) {
    report.incompatible(
      "chat_template_path",
      "`stage: pretrain` trains on plain text: BOS, the text, EOS. The chat template is ignored.",
    );
  }
}

export function packingOptions(report: OptionReport): void {
  if (report.config.packing && report.config.group_by_length && report.has("group_by_length")) {
    report.incompatible(
      "group_by_length",
      "With `packing: true` every pack is about as long as `max_length`, so `group_by_length` is ignored.",
    );
  }
}
