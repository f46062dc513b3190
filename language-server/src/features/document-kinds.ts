import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { TextDocument } from "vscode-languageserver-textdocument";
import { type DocumentKind, documentKind, kindHeadLength } from "../documents/kind";
import { runFiles } from "../training/run-directory";
import { pathOfUri } from "./open-documents";

/** What an open document is. */
export function kindOf(document: TextDocument): DocumentKind {
  const path = pathOfUri(document.uri) ?? document.uri;
  const head = document.getText({
    start: { line: 0, character: 0 },
    end: document.positionAt(kindHeadLength),
  });
  const kind = documentKind(path, document.languageId, head);
  return kind === "training-config" && isRunsCopy(path) ? "unknown" : kind;
}

/** Whether a config is what a run keeps of the one it was started from: its relative paths meant that one's folder. */
function isRunsCopy(path: string): boolean {
  return basename(path) === runFiles.config && existsSync(join(dirname(path), runFiles.run));
}

/** Whether the worker thread keeps a copy of documents of this kind. */
export function isAnalysed(kind: DocumentKind): boolean {
  return kind === "dataset" || kind === "template";
}
