import { basename, dirname, join } from "node:path";
import { commands, l10n, Uri, window, workspace } from "vscode";
import { exportModelRequest } from "../../../language-server/src/protocol";
import { messageOf, type ServerConnection } from "../language-client";
import { isRefusal, showRefusal } from "../reveal";
import { withServerProgress } from "../server-progress";
import { isTrusted } from "../trust";

/** Merges a run's adapter into its model, in a folder that the person chooses. */
export async function exportModel(run: string, server: ServerConnection): Promise<void> {
  if (!(await isTrusted(l10n.t("Exporting starts a program, so it needs a trusted workspace.")))) return;
  const name = basename(run);
  const [folder] =
    (await window.showOpenDialog({
      canSelectFiles: false,
      canSelectFolders: true,
      defaultUri: Uri.file(dirname(run)),
      title: l10n.t("Folder for the model of {0}", name),
      openLabel: l10n.t("Export Here"),
    })) ?? [];
  if (folder === undefined) return;
  const output = await freePath(join(folder.fsPath, `${name}-merged`));
  try {
    const answer = await withServerProgress(
      server,
      l10n.t("Exporting {0}", name),
      true,
      (workDoneToken, token) => server.request(exportModelRequest, { run, output, workDoneToken }, token),
    );
    if (answer === undefined) return;
    if (isRefusal(answer)) return void showRefusal(answer);
    const open = l10n.t("Open Folder");
    const choice = await window.showInformationMessage(
      l10n.t("The model of {0} is in {1}.", name, answer.output),
      open,
    );
    if (choice === open) {
      await commands.executeCommand("vscode.openFolder", Uri.file(answer.output), { forceNewWindow: true });
    }
  } catch (error) {
    void window.showErrorMessage(l10n.t("{0} could not be exported: {1}", name, messageOf(error)));
  }
}

/** The path, or with a number after it the first that nothing has. */
async function freePath(path: string): Promise<string> {
  const isTaken = (candidate: string) =>
    workspace.fs.stat(Uri.file(candidate)).then(
      () => true,
      () => false,
    );
  let free = path;
  for (let n = 2; await isTaken(free); n++) free = `${path}-${n}`;
  return free;
}
