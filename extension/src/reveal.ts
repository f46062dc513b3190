import { commands, l10n, type Position, Range, Selection, Uri, window, workspace } from "vscode";
import type { Range as ProtocolRange, Refusal } from "../../language-server/src/protocol";

export const toRange = ({ start, end }: ProtocolRange): Range =>
  new Range(start.line, start.character, end.line, end.character);

export const toProtocolPosition = ({ line, character }: Position) => ({ line, character });

export const isRefusal = (answer: object): answer is Refusal => "refused" in answer;

/** Says why something cannot be done, and leads to the place in the editor if there is one. */
export async function showRefusal({ refused, location }: Refusal): Promise<void> {
  if (location === undefined) {
    void window.showErrorMessage(refused);
    return;
  }
  const goTo = l10n.t("Go to Problem");
  if ((await window.showErrorMessage(refused, goTo)) !== goTo) return;
  const range = toRange(location.range);
  const editor = await window.showTextDocument(Uri.parse(location.uri, true));
  editor.selection = new Selection(range.start, range.end);
  editor.revealRange(range);
}

export const isFile = (path: string): Promise<boolean> =>
  Promise.resolve(workspace.fs.stat(Uri.file(path))).then(
    () => true,
    () => false,
  );

/** Opens a file, or says that it is not there. */
export async function openFile(path: string, missing: string): Promise<void> {
  if (await isFile(path)) await window.showTextDocument(Uri.file(path), { preview: true });
  else void window.showWarningMessage(missing);
}

/** Shows a report, written in Markdown, as it is meant to be read. */
export async function showReport(path: string): Promise<void> {
  await commands.executeCommand("markdown.showPreview", Uri.file(path));
}
