import { Range, type TextDocument } from "vscode";
import { isConfig } from "./training/configs";

/** Languages whose files are worth a server by themselves. */
const ownLanguages = new Set(["jsonl", "jinja"]);

/** Lines and characters at the beginning of a JSON file by which it is judged. */
const headLines = 20;
const headLength = 2_000;

/**
 * Whether a document is worth starting the server for: a YAML file only if it is a training config, a JSON file only if it
 * looks like a dataset. The server looks closer.
 */
export function isOwnDocument(document: TextDocument): boolean {
  if (ownLanguages.has(document.languageId) || isConfig(document.uri)) return true;
  if (document.languageId !== "json") return false;
  return looksLikeRows(document.getText(new Range(0, 0, headLines, 0)).slice(0, headLength));
}

const rowKey = '"(?:messages|conversations?|instruction|prompt|chosen|text)"\\s*:';
const inArray = new RegExp(`^\\s*\\[\\s*\\{[^]*?${rowKey}`);
const onLine = new RegExp(`^\\s*\\{[^\\n]*?${rowKey}`);

/** Whether a text begins with an array of objects, or an object on a line, that has a key of some training format. */
export function looksLikeRows(head: string): boolean {
  return inArray.test(head) || onLine.test(head);
}
