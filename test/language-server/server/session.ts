import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import { MessageChannel } from "node:worker_threads";
import { onTestFinished } from "vitest";
import {
  CodeActionRequest,
  CodeLensRequest,
  CodeLensResolveRequest,
  CompletionRequest,
  createConnection,
  createMessageConnection,
  type Diagnostic,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  DidSaveTextDocumentNotification,
  HoverRequest,
  InitializedNotification,
  InitializeRequest,
  InlayHintRequest,
  type MessageConnection,
  type MessageReader,
  PortMessageReader,
  PortMessageWriter,
  type Position,
  ProposedFeatures,
  PublishDiagnosticsNotification,
  type PublishDiagnosticsParams,
  type Range,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver/node";
import { serveAnalysis } from "../../../language-server/src/features/analysis";
import type { AnalysisLimits, WorkerThread } from "../../../language-server/src/features/analysis-worker";
import { serveComparison } from "../../../language-server/src/features/comparison/serve-comparison";
import { type FeatureName, serve } from "../../../language-server/src/features/language-server";
import type { RequestName } from "../../../language-server/src/protocol";
import { positionOf } from "../annotated";

/** Writes files into a new folder, which is gone after the test. Keys are paths relative to it. */
export function workspace(files: Readonly<Record<string, string | Buffer>>): string {
  const folder = mkdtempSync(join(tmpdir(), "ziptie-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

export interface SessionOptions {
  /** Only these features; a test asks for what it tests. */
  enabled: readonly FeatureName[];
  /** The workspace folder. */
  folder: string;
  settings?: unknown;
  limits?: AnalysisLimits;
  launchWorker?: () => WorkerThread;
}

/** The worker's code on this thread, behind the same messages. */
export function workerOnThisThread(): WorkerThread {
  const { port1, port2 } = new MessageChannel();
  const worker = createMessageConnection(new PortMessageReader(port2), new PortMessageWriter(port2));
  serveAnalysis(worker);
  serveComparison(worker);
  worker.listen();
  return {
    connection: createMessageConnection(new PortMessageReader(port1), new PortMessageWriter(port1)),
    terminate: () => {
      port1.close();
      port2.close();
    },
    onExit: () => {},
  };
}

/** An editor and the server in one process, with a real LSP connection between them. */
export class Session {
  readonly #published: PublishDiagnosticsParams[] = [];
  readonly #waiting: { uri: string; version: number; resolve: (diagnostics: Diagnostic[]) => void }[] = [];
  readonly #versions = new Map<string, number>();

  private constructor(
    readonly client: MessageConnection,
    readonly folder: string,
  ) {
    client.onNotification(PublishDiagnosticsNotification.type, (params) => {
      this.#published.push(params);
      for (const waiting of this.#waiting.splice(0)) {
        if (waiting.uri === params.uri && waiting.version === params.version)
          waiting.resolve(params.diagnostics);
        else this.#waiting.push(waiting);
      }
    });
  }

  static async start(options: SessionOptions): Promise<Session> {
    const [toServer, toClient] = [new PassThrough(), new PassThrough()];
    const server = createConnection(
      ProposedFeatures.all,
      new StreamMessageReader(toServer) as MessageReader,
      new StreamMessageWriter(toClient),
    );
    serve(server, options.launchWorker ?? workerOnThisThread, {
      enabled: options.enabled,
      ...(options.limits ? { limits: options.limits } : {}),
    });
    const client = createMessageConnection(
      new StreamMessageReader(toClient),
      new StreamMessageWriter(toServer),
    );
    const session = new Session(client, options.folder);
    client.onRequest("workspace/configuration", () => [options.settings ?? {}]);
    client.onRequest("client/registerCapability", () => null);
    client.listen();
    await client.sendRequest(InitializeRequest.type, {
      processId: null,
      rootUri: null,
      capabilities: { workspace: { configuration: true, workspaceFolders: true } },
      workspaceFolders: [{ uri: pathToFileURL(options.folder).href, name: "test" }],
    });
    await client.sendNotification(InitializedNotification.type, {});
    onTestFinished(async () => {
      await client.sendRequest(ShutdownRequest.type);
      client.dispose();
      server.dispose();
    });
    return session;
  }

  uri(name: string): string {
    return pathToFileURL(join(this.folder, name)).href;
  }

  async open(name: string, text: string, languageId = ""): Promise<string> {
    const uri = this.uri(name);
    this.#versions.set(uri, 1);
    await this.client.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId, version: 1, text },
    });
    return uri;
  }

  /** Replaces a range, or without one the whole text. */
  async change(uri: string, text: string, range?: Range): Promise<void> {
    const version = (this.#versions.get(uri) ?? 0) + 1;
    this.#versions.set(uri, version);
    await this.client.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri, version },
      contentChanges: [range ? { range, text } : { text }],
    });
  }

  async save(uri: string): Promise<void> {
    await this.client.sendNotification(DidSaveTextDocumentNotification.type, { textDocument: { uri } });
  }

  async close(uri: string): Promise<void> {
    await this.client.sendNotification(DidCloseTextDocumentNotification.type, { textDocument: { uri } });
  }

  /** The diagnostics of the document as it is now, when they come. */
  diagnostics(uri: string): Promise<Diagnostic[]> {
    const version = this.#versions.get(uri) ?? 0;
    const known = this.#published.findLast((params) => params.uri === uri && params.version === version);
    if (known) return Promise.resolve(known.diagnostics);
    return this.nextDiagnostics(uri);
  }

  /** The next ones published for the document's present version. */
  nextDiagnostics(uri: string): Promise<Diagnostic[]> {
    const version = this.#versions.get(uri) ?? 0;
    return new Promise((resolve) => this.#waiting.push({ uri, version, resolve }));
  }

  async complete(uri: string, position: Position) {
    const answer = await this.client.sendRequest(CompletionRequest.type, { textDocument: { uri }, position });
    return Array.isArray(answer) ? answer : (answer?.items ?? []);
  }

  async hover(uri: string, position: Position): Promise<string | null> {
    const answer = await this.client.sendRequest(HoverRequest.type, { textDocument: { uri }, position });
    const contents = answer?.contents;
    return typeof contents === "object" && "value" in contents ? contents.value : null;
  }

  async codeActions(uri: string, diagnostics: Diagnostic[]) {
    const [first] = diagnostics;
    const range = first?.range ?? { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };
    const actions = await this.client.sendRequest(CodeActionRequest.type, {
      textDocument: { uri },
      range,
      context: { diagnostics },
    });
    return (actions ?? []).flatMap((action) => ("kind" in action ? [action] : []));
  }

  async codeLenses(uri: string) {
    const lenses = (await this.client.sendRequest(CodeLensRequest.type, { textDocument: { uri } })) ?? [];
    return Promise.all(
      lenses.map((lens) =>
        lens.command ? lens : this.client.sendRequest(CodeLensResolveRequest.type, lens),
      ),
    );
  }

  async inlayHints(uri: string, range: Range) {
    return (await this.client.sendRequest(InlayHintRequest.type, { textDocument: { uri }, range })) ?? [];
  }

  request<Params, Result>(name: RequestName<Params, Result>, params: Params): Promise<Result> {
    return this.client.sendRequest<Result>(name.method, params);
  }
}

/** Applies edits of one document, all of them positions of the text as it is. */
export function withEdits(text: string, edits: readonly { range: Range; newText: string }[]): string {
  const offset = (position: Position) => {
    let at = 0;
    while (at < text.length && isBefore(positionOf(text, at), position)) at++;
    return at;
  };
  return [...edits]
    .map(({ range, newText }) => ({ start: offset(range.start), end: offset(range.end), newText }))
    .sort((a, b) => b.start - a.start)
    .reduce((done, { start, end, newText }) => done.slice(0, start) + newText + done.slice(end), text);
}

const isBefore = (a: Position, b: Position) =>
  a.line < b.line || (a.line === b.line && a.character < b.character);
