import type { Connection } from "vscode-languageserver";
import type { AnalysisWorker } from "./analysis-worker";
import type { OpenDocuments } from "./open-documents";
import type { Settings } from "./settings";

/** What every feature is given: each exports `register(context: ServerContext)`. */
export interface ServerContext {
  readonly connection: Connection;
  /** Open buffers over the disk. */
  readonly documents: OpenDocuments;
  /** Absolute paths of the workspace's folders, as they are now. */
  readonly workspaceFolders: () => readonly string[];
  /** As they are now. */
  readonly settings: () => Settings;
  onDidChangeSettings(listener: (settings: Settings) => void): void;
  /** The worker thread for big files, tokenising and rendering. */
  readonly worker: AnalysisWorker;
  /** Called when the server goes down; a feature stops its timers and watchers here. */
  onShutdown(listener: () => void): void;
}

export type RegisterFeature = (context: ServerContext) => void;
