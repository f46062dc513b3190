import { basename } from "node:path";
import { commands, l10n, Uri, window, workspace } from "vscode";

export const isConfig = (uri: Uri): boolean => /\.ziptie\.ya?ml$/.test(uri.path);
export const configFiles = "**/*.ziptie.{yaml,yml}";
export const notOurs = "**/{node_modules,runs}/**";

/** Whether the workspace has a training config. */
export async function workspaceHasConfig(): Promise<boolean> {
  return (await workspace.findFiles(configFiles, notOurs, 1)).length > 0;
}

/** A command's argument as a URI: CodeLens gives a string, menus give a `Uri`. */
export function toUri(argument: unknown): Uri | undefined {
  if (argument instanceof Uri) return argument;
  return typeof argument === "string" ? Uri.parse(argument, true) : undefined;
}

/** Whether a config extends a vocabulary: `stage: vocabulary`, on a line of its own. */
export async function isVocabularyConfig(uri: Uri): Promise<boolean> {
  const open = workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  const text = open?.getText() ?? Buffer.from(await workspace.fs.readFile(uri)).toString("utf8");
  return /^stage:\s*["']?vocabulary["']?\s*(#.*)?$/m.test(text);
}

/**
 * The config that is meant: the argument, else the one in the editor, else the one that is picked.
 * @param fits which of them are meant; default: all
 */
export async function pickConfig(
  argument: unknown,
  fits: (uri: Uri) => Promise<boolean> = async () => true,
): Promise<Uri | undefined> {
  const given = toUri(argument);
  if (given !== undefined) return given;
  const active = window.activeTextEditor?.document.uri;
  if (active !== undefined && isConfig(active) && (await fits(active))) return active;
  const all = await workspace.findFiles(configFiles, notOurs, 200);
  const fitting = await Promise.all(all.map(fits));
  const found = all.filter((_, index) => fitting[index]).sort((a, b) => a.path.localeCompare(b.path));
  if (found.length === 0) {
    const openExample = l10n.t("Open Example Project");
    const choice = await window.showInformationMessage(
      all.length === 0
        ? l10n.t("There is no training config (*.ziptie.yaml) in this workspace.")
        : l10n.t("No config in this workspace extends a vocabulary (stage: vocabulary)."),
      openExample,
    );
    if (choice === openExample) void commands.executeCommand("ziptie.openExample");
    return undefined;
  }
  if (found.length === 1) return found[0];
  const picked = await window.showQuickPick(
    found.map((uri) => ({
      label: basename(uri.path),
      description: workspace.asRelativePath(uri).slice(0, -basename(uri.path).length),
      uri,
    })),
    { placeHolder: l10n.t("Choose a training config"), matchOnDescription: true },
  );
  return picked?.uri;
}

/** Saves the config if it has unsaved changes, so that what is trained is what is on the disk. False: it could not be saved. */
export async function saveConfig(uri: Uri): Promise<boolean> {
  const document = workspace.textDocuments.find((open) => open.uri.toString() === uri.toString());
  if (document === undefined || !document.isDirty) return true;
  if (await document.save()) return true;
  void window.showErrorMessage(
    l10n.t("{0} could not be saved, so training was not started.", basename(uri.path)),
  );
  return false;
}
