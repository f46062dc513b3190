import { randomUUID } from "node:crypto";
import { basename } from "node:path";
import { CancellationTokenSource, type Disposable, env, l10n, Uri, type WebviewPanel, window } from "vscode";
import {
  type ComparedCorpus,
  type ComparisonPanelInput,
  type ComparisonPanelOutput,
  type CorpusProgress,
  compareCorpusRequest,
  compareTextRequest,
} from "../../../language-server/src/protocol";
import { messageOf, type ServerConnection } from "../language-client";
import { showPage } from "../panel-page";
import { isRefusal } from "../reveal";
import { saveFile } from "../save-file";
import type { ChosenTokenizers } from "../tokens/chosen-tokenizers";
import { type FoundText, isSameText } from "./text-source";

/** Columns of aligned tokens that are sent at once. */
const columnsAtOnce = 400;

export interface ComparisonActions {
  chooseTokenizers(): Promise<unknown>;
  /** The text that is compared: the newest selection or document; undefined when there is none. */
  text(): FoundText | undefined;
}

/** The comparison panel: the editor's text live, and one corpus at a time. */
export class ComparisonPanel implements Disposable {
  readonly #disposables: Disposable[] = [];
  #specialTokens = false;
  #ready = false;
  #text: { found: FoundText; request: CancellationTokenSource } | undefined;
  #corpus: { paths: string[]; job: string; request: CancellationTokenSource } | undefined;
  /** What the page was told last of the corpus, for a page that comes back. */
  #corpusState: ComparisonPanelInput | undefined;
  #compared: ComparedCorpus | undefined;
  #repeat: string[] | undefined;
  /** To be shown as soon as there is a page. */
  #part: "text" | "corpus" | undefined;

  constructor(
    readonly panel: WebviewPanel,
    extensionUri: Uri,
    private readonly server: ServerConnection,
    private readonly chosen: ChosenTokenizers,
    private readonly actions: ComparisonActions,
  ) {
    this.#disposables.push(
      chosen.onDidChange(() => {
        this.#sendTokenizers();
        void this.compareText(true);
      }),
      showPage(panel, {
        extensionUri,
        name: "comparison",
        title: l10n.t("Compare Tokenizers"),
        schema: async () =>
          (await import("../../../language-server/src/panel-messages")).comparisonPanelOutputSchema,
        receive: (message) => this.#handle(message),
        onHidden: () => {
          this.#ready = false;
        },
      }),
    );
  }

  async #handle(message: ComparisonPanelOutput): Promise<void> {
    switch (message.type) {
      case "ready":
        this.#ready = true;
        this.#sendTokenizers();
        if (this.#part !== undefined) this.#post({ type: "reveal", part: this.#part });
        this.#part = undefined;
        if (this.#corpusState !== undefined) this.#post(this.#corpusState);
        return this.compareText(true);
      case "chooseTokenizers":
        await this.actions.chooseTokenizers();
        return;
      case "specialTokens":
        this.#specialTokens = message.on;
        return this.compareText(true);
      case "moreColumns":
        return this.#sendColumns(message.first);
      case "retryText":
        return this.compareText(true);
      case "chooseCorpus":
        return this.#chooseCorpus(message.kind);
      case "repeatCorpus":
        if (this.#repeat !== undefined) await this.compareCorpus(this.#repeat);
        return;
      case "cancelCorpus":
        this.#corpus?.request.cancel();
        return;
      case "copy":
        await env.clipboard.writeText(message.text);
        window.setStatusBarMessage(l10n.t("Copied"), 2000);
        return;
      case "saveCsv":
        return this.#saveCsv(message.table);
    }
  }

  #post(message: ComparisonPanelInput): void {
    if (this.#ready) void this.panel.webview.postMessage(message);
  }

  /** Shows the part of the panel that a command is about. */
  reveal(part: "text" | "corpus"): void {
    if (this.#ready) this.#post({ type: "reveal", part });
    else this.#part = part;
  }

  #sendTokenizers(): void {
    const tokenizers = [...this.chosen.tokenizers];
    this.#post({ type: "tokenizers", tokenizers, special_tokens: this.#specialTokens });
  }

  /** Compares the editor's text, unless it is the one that is shown already. */
  async compareText(again = false): Promise<void> {
    if (!this.#ready || this.chosen.tokenizers.length === 0) return;
    const found = this.actions.text();
    if (found === undefined) {
      this.#text?.request.cancel();
      this.#text = undefined;
      return this.#post({ type: "noText" });
    }
    if (!again && this.#text !== undefined && isSameText(found, this.#text.found)) return;
    this.#text?.request.cancel();
    this.#text = { found, request: new CancellationTokenSource() };
    this.#post({ type: "textLoading", origin: found.origin });
    await this.#sendColumns(0);
  }

  async #sendColumns(first: number): Promise<void> {
    const text = this.#text;
    if (text === undefined) return;
    const { found, request } = text;
    const params = {
      source: found.source,
      tokenizers: [...this.chosen.tokenizers],
      special_tokens: this.#specialTokens,
      columns: { first, count: columnsAtOnce },
    };
    try {
      const answer = await this.server.request(compareTextRequest, params, request.token);
      if (this.#text !== text) return;
      if (!isRefusal(answer)) {
        this.#post({ type: "text", origin: found.origin, comparison: answer, first });
      } else this.#post({ type: "textFailed", origin: found.origin, message: answer.refused });
    } catch (error) {
      if (request.token.isCancellationRequested || this.#text !== text) return;
      this.#post({ type: "textFailed", origin: found.origin, message: messageOf(error) });
    }
  }

  async #chooseCorpus(kind: "file" | "folder"): Promise<void> {
    const uris = await window.showOpenDialog({
      title: l10n.t("Choose a Corpus"),
      openLabel: l10n.t("Compare"),
      canSelectMany: true,
      canSelectFiles: kind === "file",
      canSelectFolders: kind === "folder",
      ...(kind === "file"
        ? {
            filters: {
              [l10n.t("Texts, treebanks and datasets")]: [
                "txt",
                "md",
                "conllu",
                "tsv",
                "jsonl",
                "ndjson",
                "json",
              ],
              [l10n.t("All files")]: ["*"],
            },
          }
        : {}),
    });
    if (uris !== undefined && uris.length > 0) await this.compareCorpus(uris.map(({ fsPath }) => fsPath));
  }

  async compareCorpus(paths: string[]): Promise<void> {
    this.#corpus?.request.cancel();
    const corpus = { paths, job: randomUUID(), request: new CancellationTokenSource() };
    this.#corpus = corpus;
    this.#repeat = paths;
    const name = paths.map((path) => basename(path)).join(", ");
    this.#say({ type: "corpusProgress", name, read: 0, total: 0, texts: 0 });
    try {
      const answer = await this.server.request(
        compareCorpusRequest,
        {
          paths,
          tokenizers: [...this.chosen.tokenizers],
          special_tokens: this.#specialTokens,
          job: corpus.job,
        },
        corpus.request.token,
      );
      if (this.#corpus !== corpus) return;
      if (isRefusal(answer)) this.#say({ type: "corpusFailed", name, message: answer.refused });
      else {
        this.#compared = answer;
        this.#say({ type: "corpus", name, comparison: answer });
      }
    } catch (error) {
      if (this.#corpus !== corpus) return;
      if (corpus.request.token.isCancellationRequested) this.#say({ type: "corpusCancelled", name });
      else this.#say({ type: "corpusFailed", name, message: messageOf(error) });
    } finally {
      if (this.#corpus === corpus) this.#corpus = undefined;
    }
  }

  /** Progress of the corpus that is being read; of any other it is ignored. */
  progress({ job, read, total, texts }: CorpusProgress): void {
    const corpus = this.#corpus;
    if (corpus?.job !== job) return;
    const name = corpus.paths.map((path) => basename(path)).join(", ");
    this.#say({ type: "corpusProgress", name, read, total, texts });
  }

  #say(message: ComparisonPanelInput): void {
    this.#corpusState = message;
    this.#post(message);
  }

  async #saveCsv(table: "figures" | "characters"): Promise<void> {
    const compared = this.#compared;
    if (compared === undefined) return;
    await saveFile({
      name: table === "figures" ? "tokenizers.csv" : "characters.csv",
      folder: Uri.file("/"),
      filters: { CSV: ["csv"] },
      content: Buffer.from(compared.csv[table]),
    });
  }

  dispose(): void {
    this.#ready = false;
    this.#text?.request.cancel();
    this.#corpus?.request.cancel();
    this.#corpus = undefined;
    this.#text = undefined;
    for (const disposable of this.#disposables) disposable.dispose();
  }
}
