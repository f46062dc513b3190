import type { CancellationToken, Disposable, LogOutputChannel } from "vscode";
import { EventEmitter, l10n, window } from "vscode";
import type {
  LanguageClient,
  WorkDoneProgressBegin,
  WorkDoneProgressReport,
} from "vscode-languageclient/node";
import type { NotificationName, RequestName } from "../../language-server/src/protocol";

/** So many crashes within `crashWindow` milliseconds, and the server stays down until a person restarts it. */
const maxCrashes = 4;
const crashWindow = 3 * 60_000;

/** Schemes whose files the server checks; anything but `file` is checked from the open buffer alone. */
const schemes = ["file", "untitled", "vscode-vfs"];
const checkedLanguages = ["jsonl", "json", "jinja", "yaml"];
/** Texts to be read, which the server keeps to tokenise them. */
const textLanguages = ["plaintext", "markdown"];
const documentSelector = schemes.flatMap((scheme) =>
  [...checkedLanguages, ...textLanguages].map((language) => ({ scheme, language })),
);

/** Whether the server has a copy of this document to tokenise as it stands. */
export const isSharedText = ({ languageId, uri }: { languageId: string; uri: { scheme: string } }): boolean =>
  textLanguages.includes(languageId) && schemes.includes(uri.scheme);

/**
 * The way to the language server: starts it when it is first needed, and again after a crash. Training runs do not depend
 * on it, so losing it costs the view of them for a moment and nothing else.
 */
export class ServerConnection implements Disposable {
  readonly #started = new EventEmitter<void>();
  /** After every start and restart: whatever was asked of the old server has to be asked again. */
  readonly onDidStart = this.#started.event;
  readonly #handlers: { method: string; handler: (params: unknown) => void }[] = [];
  #client: Promise<LanguageClient> | undefined;
  #crashes: number[] = [];

  constructor(
    private readonly serverModule: string,
    private readonly log: LogOutputChannel,
  ) {}

  /** Rejects when the server cannot be started; the person has been told by then. */
  start(): Promise<LanguageClient> {
    this.#client ??= this.#launch().catch((error: unknown) => {
      this.#client = undefined;
      this.log.error(error instanceof Error ? error : String(error));
      void this.#tell(
        l10n.t("Ziptie's language server could not be started: {0}", messageOf(error)),
        l10n.t("Try Again"),
      );
      throw error;
    });
    return this.#client;
  }

  async restart(): Promise<void> {
    const old = this.#client;
    this.#client = undefined;
    this.#crashes = [];
    // A server that hangs or has crashed cannot be asked to leave; the new one does not depend on it.
    await (await old?.catch(() => undefined))?.dispose(2000).catch((error: unknown) => {
      this.log.warn(messageOf(error));
    });
    await this.start();
  }

  async request<Params, Result>(
    name: RequestName<Params, Result>,
    params: Params,
    token?: CancellationToken,
  ): Promise<Result> {
    const client = await this.start();
    return client.sendRequest<Result>(name.method, params, token);
  }

  /** Tells a server that is running; one that starts later has to be told again, see `onDidStart`. */
  async notify<Params>(name: NotificationName<Params>, params: Params): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    await client?.sendNotification(name.method, params);
  }

  /** Listens for a notification across restarts. */
  onNotification<Params>(name: NotificationName<Params>, handler: (params: Params) => void): void {
    // Typed by the name; both ends of the connection are built from the same `protocol.ts`.
    this.#handlers.push({ method: name.method, handler: handler as (params: unknown) => void });
  }

  /** Listens to the progress of one request that was given this token. */
  async onWorkDoneProgress(
    token: string,
    handler: (value: WorkDoneProgressBegin | WorkDoneProgressReport) => void,
  ): Promise<Disposable> {
    const [client, { WorkDoneProgress }] = await Promise.all([
      this.start(),
      import("vscode-languageclient/node"),
    ]);
    return client.onProgress(WorkDoneProgress.type, token, (value) => {
      if (value.kind !== "end") handler(value);
    });
  }

  async #launch(): Promise<LanguageClient> {
    const { CloseAction, ErrorAction, LanguageClient, RevealOutputChannelOn, State, TransportKind } =
      await import("vscode-languageclient/node");
    /** Messages go to the log; what a person needs to know is said by `ServerConnection`, once. */
    class QuietLanguageClient extends LanguageClient {
      override error(message: string, data?: unknown): void {
        super.error(message, data, false);
      }
    }
    let hasRun = false;
    const run = { module: this.serverModule, transport: TransportKind.ipc };
    const client = new QuietLanguageClient(
      "ziptie",
      "Ziptie",
      { run, debug: { ...run, options: { execArgv: ["--nolazy", "--inspect=6019"] } } },
      {
        documentSelector,
        outputChannel: this.log,
        revealOutputChannelOn: RevealOutputChannelOn.Never,
        errorHandler: {
          error: (_error, _message, count) => ({
            action: (count ?? 0) <= 3 ? ErrorAction.Continue : ErrorAction.Shutdown,
            handled: true,
          }),
          closed: () => ({
            // Before it has run once, whoever starts it is told; a restart would try what cannot work again and again.
            action: hasRun && this.#mayRestart() ? CloseAction.Restart : CloseAction.DoNotRestart,
            handled: true,
          }),
        },
      },
    );
    for (const { method, handler } of this.#handlers) client.onNotification(method, handler);
    client.onDidChangeState(({ newState }) => {
      if (newState !== State.Running) return;
      hasRun = true;
      this.#started.fire();
    });
    await client.start();
    return client;
  }

  #mayRestart(): boolean {
    const now = Date.now();
    this.#crashes = [...this.#crashes.filter((time) => now - time < crashWindow), now];
    if (this.#crashes.length <= maxCrashes) {
      this.log.warn(`The language server ended unexpectedly (${this.#crashes.length}); restarting it.`);
      return true;
    }
    this.#client = undefined;
    void this.#tell(
      l10n.t("Ziptie's language server crashed {0} times in three minutes and stays off.", maxCrashes + 1),
      l10n.t("Restart"),
    );
    return false;
  }

  async #tell(message: string, again: string): Promise<void> {
    const showLog = l10n.t("Show Log");
    const choice = await window.showErrorMessage(message, again, showLog);
    if (choice === showLog) this.log.show();
    if (choice === again) await this.restart().catch(() => undefined);
  }

  async dispose(): Promise<void> {
    this.#started.dispose();
    await (await this.#client?.catch(() => undefined))?.dispose(2000);
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
