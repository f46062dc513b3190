import type { ClientCapabilities, Connection } from "vscode-languageserver";
import type { AnalysisWorker } from "./analysis-worker";
import type { ConfigIndex } from "./config-index";
import type { OpenDocuments } from "./open-documents";
import type { Settings } from "./settings";

/** What every feature is given: each exports `register(context: ServerContext)`. */
export interface ServerContext {
  readonly connection: Connection;
  /** Open buffers over the disk. */
  readonly documents: OpenDocuments;
  /** Absolute paths of the workspace's folders, as they are now. */
  readonly workspaceFolders: () => readonly string[];
  /** As they are now; the defaults until `ready`. */
  readonly settings: () => Settings;
  /** Settles when the client's settings have been read: a request may come before them. */
  readonly ready: Promise<void>;
  onDidChangeSettings(listener: (settings: Settings) => void): void;
  /** Called when the client is ready for requests, with what it can do. */
  onInitialized(listener: (client: ClientCapabilities) => void | Promise<void>): void;
  /** Which configs name which files. */
  readonly configs: ConfigIndex;
  /** The worker thread for big files, tokenising and rendering. */
  readonly worker: AnalysisWorker;
  /** Another one, for texts under several tokenizers: a text of megabytes must not hold up the checks. */
  readonly comparisonWorker: AnalysisWorker;
  /** Called when the server goes down; a feature stops its timers and watchers here. */
  onShutdown(listener: () => void): void;
}

export type RegisterFeature = (context: ServerContext) => void;
