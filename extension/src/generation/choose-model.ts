import { basename } from "node:path";
import { l10n, type QuickPickItem, QuickPickItemKind, window } from "vscode";
import type { Formats } from "../format";
import { toRun } from "../runs/run-commands";
import type { RunList } from "../runs/run-list";
import { isAnswerable } from "../runs/run-states";
import { runDescription } from "../runs/run-text";

interface Item extends QuickPickItem {
  model?: string;
}

/** What is to answer: the argument, else a run, the newest first, or a folder with a model. Undefined: given up. */
export async function chooseModel(
  argument: unknown,
  list: RunList,
  formats: Formats,
): Promise<string | undefined> {
  const given = toRun(argument);
  if (given !== undefined) return given;
  await list.refresh();
  const runs = list.runs.filter(isAnswerable).map(
    (run): Item => ({
      label: run.name,
      description: runDescription(run, formats, l10n.t),
      ...(run.checkpoint === undefined || run.checkpoint === run.step
        ? {}
        : { detail: l10n.t("answers as of step {0}", formats.count(run.checkpoint)) }),
      model: run.run,
    }),
  );
  const browse: Item = { label: `$(folder-opened) ${l10n.t("Choose a Model Folder…")}`, alwaysShow: true };
  const separator: Item = { label: "", kind: QuickPickItemKind.Separator };
  const picked = await window.showQuickPick(runs.length > 0 ? [...runs, separator, browse] : [browse], {
    title: l10n.t("Generate"),
    placeHolder: l10n.t("Choose what is to answer"),
    matchOnDescription: true,
  });
  if (picked === undefined) return undefined;
  return picked.model ?? chooseFolder();
}

async function chooseFolder(): Promise<string | undefined> {
  const [folder] =
    (await window.showOpenDialog({
      canSelectFiles: false,
      canSelectFolders: true,
      title: l10n.t("A Hugging Face model, or a PEFT adapter"),
      openLabel: l10n.t("Choose"),
    })) ?? [];
  return folder?.fsPath;
}

/** What a person calls it. */
export const nameOf = (model: string): string => basename(model);
