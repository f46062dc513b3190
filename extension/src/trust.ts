import { commands, l10n, window, workspace } from "vscode";

/** Whether the workspace is trusted; if not, the person is told why it has to be, and where that is done. */
export async function isTrusted(why: string): Promise<boolean> {
  if (workspace.isTrusted) return true;
  const manage = l10n.t("Manage Workspace Trust");
  const choice = await window.showWarningMessage(why, manage);
  if (choice === manage) void commands.executeCommand("workbench.trust.manage");
  return false;
}
