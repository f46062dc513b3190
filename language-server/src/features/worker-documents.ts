import type { TextDocument } from "vscode-languageserver-textdocument";
import { changeNotification, closeNotification, openNotification } from "./analysis-protocol";
import type { ServerContext } from "./context";
import { isAnalysed, kindOf } from "./document-kinds";

/** Keeps the worker's copies of the open texts up: whole once, then only the edits. */
export function register({ documents, worker }: ServerContext): void {
  const copied = new Set<string>();

  const open = (document: TextDocument) => {
    const kind = kindOf(document);
    if (!worker.connection || !isAnalysed(kind)) return;
    copied.add(document.uri);
    void worker.connection.sendNotification(openNotification, {
      uri: document.uri,
      kind,
      version: document.version,
      text: document.getText(),
    });
  };

  worker.onStart(() => {
    copied.clear();
    for (const document of documents.all()) open(document);
  });
  documents.onDidOpen(({ document }) => open(document));
  documents.onEdit((edit) => {
    if (copied.has(edit.uri)) void worker.connection?.sendNotification(changeNotification, edit);
  });
  // What a file is may show only when something has been typed into it.
  documents.onDidChangeContent(({ document }) => {
    if (!copied.has(document.uri)) open(document);
  });
  documents.onDidClose(({ document }) => {
    if (copied.delete(document.uri)) {
      void worker.connection?.sendNotification(closeNotification, { uri: document.uri });
    }
  });
}
