import type { TextDocument } from "vscode-languageserver-textdocument";
import { type DocumentKind, documentKind, kindHeadLength } from "../documents/kind";
import { pathOfUri } from "./open-documents";

/** What an open document is. */
export function kindOf(document: TextDocument): DocumentKind {
  const path = pathOfUri(document.uri) ?? document.uri;
  const head = document.getText({
    start: { line: 0, character: 0 },
    end: document.positionAt(kindHeadLength),
  });
  return documentKind(path, document.languageId, head);
}

/** Whether the worker thread keeps a copy of documents of this kind. */
export function isAnalysed(kind: DocumentKind): boolean {
  return kind === "dataset" || kind === "template";
}
