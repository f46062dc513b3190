import type {
  ClientCapabilities,
  Connection,
  InitializeParams,
  InitializeResult,
} from "vscode-languageserver";
import {
  CodeActionKind,
  DidChangeConfigurationNotification,
  TextDocumentSyncKind,
} from "vscode-languageserver";
import { type AnalysisLimits, AnalysisWorker, type WorkerThread } from "./analysis-worker";
import * as codeActions from "./code-actions";
import * as codeLens from "./code-lens";
import * as comparison from "./comparison/comparison";
import * as findTokenizers from "./comparison/find-tokenizers";
import * as completion from "./completion";
import { ConfigIndex } from "./config-index";
import type { RegisterFeature, ServerContext } from "./context";
import * as diagnostics from "./diagnostics";
import * as generation from "./generation";
import * as hover from "./hover";
import * as inlayHints from "./inlay-hints";
import { OpenDocuments, pathOfUri } from "./open-documents";
import * as rowTokens from "./row-tokens";
import * as runs from "./runs";
import { defaultSettings, parseSettings, type Settings } from "./settings";
import * as workerDocuments from "./worker-documents";

/** Every feature of the server. */
export const features = {
  diagnostics: diagnostics.register,
  completion: completion.register,
  hover: hover.register,
  inlayHints: inlayHints.register,
  codeActions: codeActions.register,
  codeLens: codeLens.register,
  rowTokens: rowTokens.register,
  comparison: comparison.register,
  findTokenizers: findTokenizers.register,
  runs: runs.register,
  generation: generation.register,
} satisfies Record<string, RegisterFeature>;

export type FeatureName = keyof typeof features;

/**
 * Serves the language server protocol on a connection until the client says `exit`.
 * @param launchWorker starts the worker thread when it is first needed, and again after it was ended
 * @param options.limits of the worker's time; `options.enabled` leaves features out, for tests of one of them
 */
export function serve(
  connection: Connection,
  launchWorker: () => WorkerThread,
  options: { enabled?: readonly FeatureName[]; limits?: AnalysisLimits } = {},
): void {
  const documents = new OpenDocuments();
  const worker = new AnalysisWorker(launchWorker, options.limits);
  const comparisonWorker = new AnalysisWorker(launchWorker, options.limits, comparison.requestsAtOnce);
  const settingsListeners: ((settings: Settings) => void)[] = [];
  const shutdownListeners: (() => void)[] = [() => worker.dispose(), () => comparisonWorker.dispose()];
  const initializedListeners: ((client: ClientCapabilities) => void | Promise<void>)[] = [];
  let isReady = () => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  let settings = defaultSettings;
  let folders: string[] = [];
  let client: InitializeParams["capabilities"] = {};

  const context: ServerContext = {
    connection,
    get configs() {
      return configs;
    },
    documents,
    worker,
    comparisonWorker,
    ready,
    workspaceFolders: () => folders,
    settings: () => settings,
    onDidChangeSettings: (listener) => settingsListeners.push(listener),
    onInitialized: (listener) => initializedListeners.push(listener),
    onShutdown: (listener) => shutdownListeners.push(listener),
  };
  const configs = new ConfigIndex(context);

  connection.onInitialize((params): InitializeResult => {
    client = params.capabilities;
    const uris =
      params.workspaceFolders?.map((folder) => folder.uri) ?? (params.rootUri ? [params.rootUri] : []);
    folders = uris.flatMap((uri) => pathOfUri(uri) ?? []);
    return {
      serverInfo: { name: "ziptie" },
      capabilities: {
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental, save: true },
        completionProvider: { triggerCharacters: [" ", "/", "-", ":"] },
        hoverProvider: true,
        inlayHintProvider: true,
        codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
        codeLensProvider: { resolveProvider: true },
        workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
      },
    };
  });

  /** @param pushed what a client that cannot be asked sends along */
  const readSettings = async (pushed?: unknown) => {
    const pulled = client.workspace?.configuration && connection.workspace.getConfiguration("ziptie");
    settings = parseSettings(pulled ? await pulled : pushed);
    for (const listener of settingsListeners) listener(settings);
  };

  connection.onInitialized(async () => {
    await readSettings().finally(isReady);
    if (client.workspace?.workspaceFolders) {
      connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
        const gone = new Set(removed.map((folder) => pathOfUri(folder.uri)));
        folders = [
          ...folders.filter((folder) => !gone.has(folder)),
          ...added.flatMap((f) => pathOfUri(f.uri) ?? []),
        ];
      });
    }
    if (client.workspace?.didChangeConfiguration?.dynamicRegistration) {
      await connection.client.register(DidChangeConfigurationNotification.type, { section: "ziptie" });
    }
    for (const listener of initializedListeners) await listener(client);
  });
  connection.onDidChangeConfiguration(({ settings }) => readSettings(settings?.ziptie));
  connection.onShutdown(() => {
    for (const listener of shutdownListeners) listener();
  });

  workerDocuments.register(context);
  for (const name of options.enabled ?? (Object.keys(features) as FeatureName[])) features[name](context);
  documents.listen(connection);
  connection.listen();
}
