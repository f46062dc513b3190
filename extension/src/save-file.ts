import { basename } from "node:path";
import { l10n, Uri, window, workspace } from "vscode";

export interface SavedFile {
  /** A file's name to begin with, not a path. */
  name: string;
  /** Where there is no workspace. */
  folder: Uri;
  /** Extensions by what a person calls such files. */
  filters: Record<string, string[]>;
  content: Uint8Array;
}

/** Asks where a file shall be, in the workspace unless told otherwise, and writes it; a person may also decline. */
export async function saveFile({ name, folder, filters, content }: SavedFile): Promise<void> {
  const defaultUri = Uri.joinPath(workspace.workspaceFolders?.[0]?.uri ?? folder, name);
  const target = await window.showSaveDialog({ defaultUri, filters });
  if (target === undefined) return;
  await workspace.fs.writeFile(target, content);
  window.setStatusBarMessage(l10n.t("Saved {0}", basename(target.path)), 3000);
}
