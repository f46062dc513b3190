import { basename } from "node:path";
import { l10n, type QuickPickItem, type TextEditor, window } from "vscode";
import type { PromptSource } from "../../../language-server/src/protocol";

interface Item extends QuickPickItem {
  choose: () => Promise<PromptSource | undefined>;
}

/** Files that hold prompts by their name. */
const promptFile = /\.(jsonl|ndjson|json|txt)$/i;

/**
 * What is to be answered: the selection of the editor in front, else what is typed, or a file of prompts. Undefined: given up.
 */
export async function choosePrompts(editor: TextEditor | undefined): Promise<PromptSource | undefined> {
  if (editor !== undefined && !editor.selection.isEmpty) {
    return { text: editor.document.getText(editor.selection) };
  }
  const open = editor?.document;
  const ofEditor: Item[] =
    open?.uri.scheme === "file" && promptFile.test(open.uri.path)
      ? [
          {
            label: `$(list-unordered) ${l10n.t("Every Prompt of {0}", basename(open.uri.path))}`,
            choose: async () => ((await open.save()) ? { path: open.uri.fsPath } : undefined),
          },
        ]
      : [];
  const picked = await window.showQuickPick<Item>(
    [
      { label: `$(edit) ${l10n.t("Type a Prompt…")}`, choose: typed },
      ...ofEditor,
      { label: `$(folder-opened) ${l10n.t("Choose a File of Prompts…")}`, choose: browsed },
    ],
    {
      title: l10n.t("Generate"),
      placeHolder: l10n.t("Choose what is to be answered; a selection in the editor is taken at once"),
    },
  );
  return picked?.choose();
}

async function typed(): Promise<PromptSource | undefined> {
  const text = await window.showInputBox({
    title: l10n.t("Generate"),
    prompt: l10n.t("The prompt"),
    ignoreFocusOut: true,
  });
  return text === undefined ? undefined : { text };
}

async function browsed(): Promise<PromptSource | undefined> {
  const [file] =
    (await window.showOpenDialog({
      title: l10n.t("JSONL, or text with a prompt on each line"),
      filters: { [l10n.t("Prompts")]: ["jsonl", "ndjson", "json", "txt"], [l10n.t("All files")]: ["*"] },
    })) ?? [];
  return file === undefined ? undefined : { path: file.fsPath };
}
