import {
  type Diagnostic,
  DidChangeWatchedFilesNotification,
  FileChangeType,
  WatchKind,
} from "vscode-languageserver";
import type { TextDocument } from "vscode-languageserver-textdocument";
import { checkConfig, severitiesOf } from "../rules/config-rules";
import { mergedSeverities, toDiagnostics } from "../rules/diagnostics";
import { LineIndex } from "../text/line-index";
import { checkRequest } from "./analysis-protocol";
import { AnalysisCancelled, AnalysisTimeout } from "./analysis-worker";
import { workspaceFiles } from "./config-index";
import type { ServerContext } from "./context";
import { isAnalysed, kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";

/** Milliseconds without a keystroke before a document is checked. */
const quiet = { config: 50, analysed: 75 };

/** Publishes what is wrong with every open document, shortly after it was opened or changed. */
export function register(context: ServerContext): void {
  const publisher = new DiagnosticsPublisher(context);
  const { documents } = context;
  documents.onDidChangeContent(({ document }) => publisher.schedule(document));
  documents.onDidClose(({ document }) => publisher.clear(document.uri));
  // Configs look at other files: whether they are there, and what they say.
  documents.onDidSave(() => publisher.scheduleAll());
  context.onDidChangeSettings(() => publisher.scheduleAll());
  context.onShutdown(() => publisher.dispose());
  context.connection.onDidChangeWatchedFiles(({ changes }) => {
    if (changes.some(({ type, uri }) => type !== FileChangeType.Changed || !documents.get(uri))) {
      publisher.scheduleAll();
    }
  });
  context.onInitialized(async ({ workspace }) => {
    if (!workspace?.didChangeWatchedFiles?.dynamicRegistration) return;
    await context.connection.client.register(DidChangeWatchedFilesNotification.type, {
      watchers: [
        { globPattern: "**/*.{ziptie.yaml,ziptie.yml,jinja}" },
        // Only whether they are there matters; a run appends to its log all the time.
        { globPattern: "**/*.{json,jsonl}", kind: WatchKind.Create | WatchKind.Delete },
      ],
    });
  });
}

class DiagnosticsPublisher {
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(readonly context: ServerContext) {}

  schedule(document: TextDocument): void {
    const kind = kindOf(document);
    const delay = isAnalysed(kind) ? quiet.analysed : kind === "training-config" ? quiet.config : null;
    clearTimeout(this.#timers.get(document.uri));
    if (delay === null) {
      if (this.#timers.delete(document.uri)) this.#publish(document, []);
      return;
    }
    const timer = setTimeout(() => void this.#check(document.uri), delay);
    this.#timers.set(document.uri, timer);
  }

  scheduleAll(): void {
    for (const document of this.context.documents.all()) this.schedule(document);
  }

  clear(uri: string): void {
    clearTimeout(this.#timers.get(uri));
    this.#timers.delete(uri);
    void this.context.connection.sendDiagnostics({ uri, diagnostics: [] });
  }

  dispose(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  async #check(uri: string): Promise<void> {
    const document = this.context.documents.get(uri);
    if (!document) return;
    try {
      if (kindOf(document) === "training-config") this.#publish(document, this.#configDiagnostics(document));
      else await this.#checkInWorker(document);
    } catch (error) {
      if (error instanceof AnalysisCancelled) return;
      this.context.connection.console.error(`${uri} could not be checked: ${String(error)}`);
    }
  }

  #configDiagnostics(document: TextDocument): Diagnostic[] {
    const text = document.getText();
    const path = pathOfUri(document.uri);
    const files = path === null ? null : workspaceFiles(this.context);
    const { reading, findings } = checkConfig(text, path ?? document.uri, files);
    const severities = mergedSeverities(this.context.settings().rules, severitiesOf(reading));
    return toDiagnostics(findings, new LineIndex(text), severities);
  }

  async #checkInWorker(document: TextDocument): Promise<void> {
    const { uri } = document;
    const path = pathOfUri(uri);
    const { severities, format } =
      path === null
        ? { severities: this.context.settings().rules, format: null }
        : this.context.configs.checking(path);
    try {
      const checked = await this.context.worker.request(checkRequest, { uri, severities, format });
      const now = this.context.documents.get(uri);
      // A later change has scheduled a check of its own.
      if (checked && now?.version === checked.version) this.#publish(now, checked.diagnostics);
    } catch (error) {
      if (!(error instanceof AnalysisTimeout)) throw error;
      const firstLine = {
        start: 0,
        end:
          document
            .getText()
            .slice(0, 200)
            .split(/[\r\n]/)[0]?.length ?? 0,
      };
      const finding = { rule: "time-limit", span: firstLine, message: error.message };
      this.#publish(document, toDiagnostics([finding], new LineIndex(document.getText()), severities, null));
    }
  }

  #publish({ uri, version }: TextDocument, diagnostics: Diagnostic[]): void {
    void this.context.connection.sendDiagnostics({ uri, version, diagnostics });
  }
}
