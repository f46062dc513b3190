import type { RunSummary } from "../../../language-server/src/protocol";
import type { Formats } from "../format";

/** Translates a message with `{0}`-style places; `vscode.l10n.t` in the editor. */
export type Translate = (message: string, ...args: (string | number)[]) => string;

/** `412/3,120`, or only what is known of it. */
export function stepText(run: RunSummary, formats: Formats): string {
  return run.steps > 0 ? `${formats.count(run.step)}/${formats.count(run.steps)}` : formats.count(run.step);
}

export function stateText(run: RunSummary, t: Translate): string {
  switch (run.state) {
    case "preparing":
      return t("preparing");
    case "running":
      return t("running");
    case "finished":
      return t("finished");
    case "stopped":
      return t("stopped");
    case "failed":
      return t("failed");
    case "interrupted":
      return t("interrupted");
  }
}

/** What stands behind a run's name in the tree. */
export function runDescription(run: RunSummary, formats: Formats, t: Translate): string {
  const parts: string[] = [];
  if (run.state === "preparing") return t("preparing data");
  if (run.state !== "finished" && run.state !== "running") parts.push(stateText(run, t));
  if (run.step > 0 || run.state === "running") parts.push(stepText(run, formats));
  if (run.loss !== null) parts.push(t("loss {0}", formats.loss(run.loss)));
  if (run.eta_seconds !== undefined) parts.push(t("{0} left", formats.duration(run.eta_seconds)));
  return parts.join(" · ");
}

/** The status bar's text for the runs that are going on, newest first; undefined when there is none. */
export function statusBarText(
  active: readonly RunSummary[],
  formats: Formats,
  t: Translate,
): string | undefined {
  const [run] = active;
  if (run === undefined) return undefined;
  const more = active.length > 1 ? ` +${active.length - 1}` : "";
  if (run.state === "preparing") return `$(loading~spin) ${run.name} ${t("preparing data")}${more}`;
  const loss = run.loss === null ? "" : ` ${t("loss {0}", formats.loss(run.loss))}`;
  return `$(pulse) ${run.name} ${stepText(run, formats)}${loss}${more}`;
}

/** A run's particulars as Markdown. */
export function runTooltip(run: RunSummary, formats: Formats, t: Translate, locale: string): string {
  const time = (iso: string) =>
    new Date(iso).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  const rows: [string, string][] = [[t("Step"), stepText(run, formats)]];
  if (run.loss !== null) rows.push([t("Loss"), formats.loss(run.loss)]);
  if (run.evaluation_loss !== null) rows.push([t("Evaluation loss"), formats.loss(run.evaluation_loss)]);
  if (run.eta_seconds !== undefined)
    rows.push([t("Time left (estimate)"), formats.duration(run.eta_seconds)]);
  rows.push([t("Started"), time(run.started)]);
  if (run.ended !== undefined) rows.push([t("Ended"), time(run.ended)]);
  const escapeMarkdown = (text: string) => text.replace(/[\\`*_{}[\]()#+.!|<>~-]/g, "\\$&");
  return [
    `**${escapeMarkdown(run.name)}** — ${stateText(run, t)}`,
    ...(run.reason === undefined ? [] : [escapeMarkdown(run.reason)]),
    rows.map(([name, value]) => `${name}: ${escapeMarkdown(value)}`).join("  \n"),
    `${t("Config")}: \`${run.config}\`  \n${t("Directory")}: \`${run.run}\``,
  ].join("\n\n");
}
