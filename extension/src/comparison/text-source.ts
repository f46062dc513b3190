import { basename } from "node:path";
import type { TextEditor } from "vscode";
import type { TextOrigin, TextSource } from "../../../language-server/src/protocol";
import { isSharedText } from "../language-client";
import { toProtocolPosition } from "../reveal";

export interface FoundText {
  origin: TextOrigin;
  source: TextSource;
}

/** A whole document that the server has no copy of is not sent along if it is longer. In UTF-16 units. */
const longestCopy = 2_000_000;

/** What is compared in an editor: the selection, else the row of a dataset, else the whole text. */
export function textOf({ document, selection }: TextEditor): FoundText | undefined {
  const name = basename(document.uri.path);
  const uri = document.uri.toString();
  const { version } = document;
  if (!selection.isEmpty) {
    const range = {
      start: toProtocolPosition(selection.start),
      end: toProtocolPosition(selection.end),
    };
    const source = isSharedText(document)
      ? { uri, version, range }
      : { uri, text: document.getText(selection) };
    return { origin: { name, selection: true }, source };
  }
  if (isSharedText(document)) {
    return document.lineCount === 1 && document.lineAt(0).isEmptyOrWhitespace
      ? undefined
      : { origin: { name, selection: false }, source: { uri, version } };
  }
  const isRows = document.languageId === "jsonl";
  const text = isRows ? document.lineAt(selection.active.line).text : document.getText();
  if (text.trim() === "" || text.length > longestCopy) return undefined;
  return { origin: { name, selection: isRows }, source: { uri, text } };
}

export function isSameText(one: FoundText, other: FoundText): boolean {
  return (
    JSON.stringify(one.origin) === JSON.stringify(other.origin) &&
    JSON.stringify(one.source) === JSON.stringify(other.source)
  );
}
