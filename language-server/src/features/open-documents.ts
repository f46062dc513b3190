import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import type {
  Connection,
  TextDocumentChangeEvent,
  TextDocumentContentChangeEvent,
} from "vscode-languageserver";
import { TextDocuments } from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";

/** The absolute path of a `file:` URI, or null for a buffer that is no file. */
export function pathOfUri(uri: string): string | null {
  try {
    return uri.startsWith("file:") ? fileURLToPath(uri) : null;
  } catch {
    return null;
  }
}

/** Clients may spell one URI in several ways (`%3A` or `:`); this is the one used as a key. */
export function uriOfPath(path: string): string {
  return pathToFileURL(path).href;
}

/** An edit as it came from the client, before it was applied. */
export interface DocumentEdit {
  readonly uri: string;
  readonly version: number;
  readonly changes: readonly TextDocumentContentChangeEvent[];
}

/** The editor's open buffers, and the disk below them. An open buffer wins. */
export class OpenDocuments {
  readonly #documents: TextDocuments<TextDocument>;
  readonly #editListeners: ((edit: DocumentEdit) => void)[] = [];

  constructor() {
    this.#documents = new TextDocuments({
      create: TextDocument.create,
      update: (document, changes, version) => {
        const updated = TextDocument.update(document, changes, version);
        for (const listener of this.#editListeners) listener({ uri: document.uri, version, changes });
        return updated;
      },
    });
  }

  listen(connection: Connection): void {
    this.#documents.listen(connection);
  }

  /** The open buffer, if the document is open. */
  get(uri: string): TextDocument | undefined {
    return this.#documents.get(uri);
  }

  all(): TextDocument[] {
    return this.#documents.all();
  }

  /** The open buffer of a file, if it is open. */
  getByPath(path: string): TextDocument | undefined {
    return (
      this.#documents.get(uriOfPath(path)) ??
      this.#documents.all().find((document) => pathOfUri(document.uri) === path)
    );
  }

  /**
   * The text of a file: the open buffer's, else the disk's.
   * @throws what `node:fs` throws when the file cannot be read
   */
  readText(path: string): string {
    return this.getByPath(path)?.getText() ?? readFileSync(path, "utf8");
  }

  /** Before anything else hears of it, so that a copy of the text can be kept up with small messages. */
  onEdit(listener: (edit: DocumentEdit) => void): void {
    this.#editListeners.push(listener);
  }
  onDidOpen(listener: (event: TextDocumentChangeEvent<TextDocument>) => void): void {
    this.#documents.onDidOpen(listener);
  }
  /** Also called once when a document is opened. */
  onDidChangeContent(listener: (event: TextDocumentChangeEvent<TextDocument>) => void): void {
    this.#documents.onDidChangeContent(listener);
  }
  onDidSave(listener: (event: TextDocumentChangeEvent<TextDocument>) => void): void {
    this.#documents.onDidSave(listener);
  }
  onDidClose(listener: (event: TextDocumentChangeEvent<TextDocument>) => void): void {
    this.#documents.onDidClose(listener);
  }
}
