import { entryAt, nodeAt, spanOf } from "../key-path";
import type { OptionReport } from "./report";

export function durationOptions(report: OptionReport): void {
  if (report.config.max_steps === 0) {
    report.add({
      rule: "value-out-of-range",
      span: spanOf(report.root, ["max_steps"], "value"),
      message:
        "`max_steps: 0` trains nothing. Give a number of steps, or `-1` to train for `num_train_epochs`.",
    });
  }
  if (report.config.max_steps > 0 && report.has("num_train_epochs")) {
    report.incompatible(
      "num_train_epochs",
      "`max_steps` decides how long is trained, so `num_train_epochs` is ignored. Remove one.",
    );
  }
}

export function warmupOptions(report: OptionReport): void {
  const { warmup_steps, warmup_ratio, max_steps } = report.config;
  const steps = nodeAt(report.root, ["warmup_steps"]);
  if (steps && !Number.isInteger(warmup_steps)) {
    const entry = entryAt(report.root, ["warmup_steps"]);
    report.add({
      rule: "warmup-unit",
      span: steps.span,
      message: `\`warmup_steps\` counts optimizer steps; ${warmup_steps} is not a number of steps.${warmup_steps < 1 ? " A share of the run is `warmup_ratio`." : ""}`,
      fixes:
        entry && warmup_steps < 1 && !report.has("warmup_ratio")
          ? [
              {
                title: `Replace with \`warmup_ratio: ${warmup_steps}\``,
                edits: [{ span: entry.keySpan, newText: "warmup_ratio" }],
              },
            ]
          : [],
    });
  }
  const ratio = nodeAt(report.root, ["warmup_ratio"]);
  if (ratio && warmup_ratio > 1) {
    const entry = entryAt(report.root, ["warmup_ratio"]);
    report.add({
      rule: "warmup-unit",
      span: ratio.span,
      message: `\`warmup_ratio\` is a share of the run between 0 and 1; ${warmup_ratio} looks like a number of steps, which is \`warmup_steps\`.`,
      fixes:
        entry && Number.isInteger(warmup_ratio) && !report.has("warmup_steps")
          ? [
              {
                title: `Replace with \`warmup_steps: ${warmup_ratio}\``,
                edits: [{ span: entry.keySpan, newText: "warmup_steps" }],
              },
            ]
          : [],
    });
  }
  if (warmup_steps > 0 && warmup_ratio > 0) {
    report.incompatible(
      "warmup_ratio",
      "`warmup_steps` decides how long the warm-up is, so `warmup_ratio` is ignored. Remove one.",
    );
  }
  if (max_steps > 0 && warmup_steps >= max_steps && report.config.lr_scheduler_type !== "constant") {
    report.add({
      rule: "warmup-zero-step",
      span: spanOf(report.root, ["warmup_steps"], "value"),
      message: `The warm-up of ${warmup_steps} steps does not end within the run's ${max_steps}: the learning rate never reaches its peak.`,
    });
  } else if (ratio && warmup_ratio === 1) {
    report.add({
      rule: "warmup-zero-step",
      span: ratio.span,
      message: "A warm-up over the whole run: the learning rate only reaches its peak at the last step.",
    });
  }
}

export function scheduleOptions(report: OptionReport): void {
  const { lr_scheduler_type: type, lr_scheduler_kwargs: kwargs } = report.config;
  if (type === "constant") {
    for (const key of ["warmup_steps", "warmup_ratio"] as const) {
      if (report.config[key] > 0) {
        report.incompatible(
          key,
          `\`lr_scheduler_type: constant\` has no warm-up, so \`${key}\` is ignored; \`constant_with_warmup\` has one.`,
        );
      }
    }
  }
  const floor = kwargs?.min_lr_rate ?? kwargs?.min_lr;
  if (type === "cosine_with_min_lr" && floor === undefined) {
    report.missing(
      "lr_scheduler_type",
      "`cosine_with_min_lr` needs its floor: `lr_scheduler_kwargs: { min_lr_rate: 0.1 }`.",
    );
  }
  if (type !== "cosine_with_min_lr" && floor !== undefined) {
    report.incompatible(
      "lr_scheduler_kwargs",
      `\`${type}\` has no floor, so these are ignored; \`cosine_with_min_lr\` has one.`,
    );
  }
  if (kwargs?.min_lr_rate !== undefined && kwargs.min_lr !== undefined) {
    report.incompatible("min_lr", "`min_lr_rate` and `min_lr` say the same thing in two units. Remove one.", [
      "lr_scheduler_kwargs",
      "min_lr",
    ]);
  }
  if (kwargs?.min_lr !== undefined && kwargs.min_lr > report.config.learning_rate) {
    report.add({
      rule: "value-out-of-range",
      span: spanOf(report.root, ["lr_scheduler_kwargs", "min_lr"], "value"),
      message: `The floor \`min_lr\` (${kwargs.min_lr}) lies above the peak \`learning_rate\` (${report.config.learning_rate}).`,
    });
  }
}
