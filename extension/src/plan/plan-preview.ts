import { basename } from "node:path";
import {
  commands,
  type Disposable,
  EventEmitter,
  l10n,
  ProgressLocation,
  type TextDocumentContentProvider,
  Uri,
  window,
  workspace,
} from "vscode";
import { planRequest } from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import { messageOf, type ServerConnection } from "../language-client";
import { isRefusal, showRefusal } from "../reveal";
import { planDocument } from "./plan-document";

const scheme = "ziptie-plan";

/** `ziptie-plan:/…/sft.ziptie.yaml.md?<config's URI>`: a read-only page that follows its config. */
const pageOf = (config: Uri): Uri =>
  Uri.from({ scheme, path: `${config.path}.md`, query: config.toString(true) });

/** What a config would do, as a Markdown preview that is redone when the config is saved. */
export class PlanPreview implements TextDocumentContentProvider, Disposable {
  readonly #changed = new EventEmitter<Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #pages = new Map<string, string>();
  readonly #disposables: Disposable[];

  constructor(
    private readonly server: ServerConnection,
    private readonly formats: Formats,
  ) {
    this.#disposables = [
      this.#changed,
      workspace.registerTextDocumentContentProvider(scheme, this),
      workspace.onDidSaveTextDocument(async ({ uri }) => {
        const page = pageOf(uri);
        const before = this.#pages.get(page.toString());
        if (before === undefined) return;
        // A config that has become invalid keeps its last plan on screen; the editor shows what is wrong with it.
        const answer = await this.server.request(planRequest, { uri: uri.toString() }).catch(() => undefined);
        if (answer === undefined || isRefusal(answer)) return;
        this.#pages.set(page.toString(), planDocument(basename(uri.path), answer, this.formats, l10n.t));
        this.#changed.fire(page);
      }),
      workspace.onDidCloseTextDocument(({ uri }) => {
        if (uri.scheme === scheme) this.#pages.delete(uri.toString());
      }),
    ];
  }

  /** A page that is not known, because its window was reloaded or the editor had let it go, is made from its config again. */
  async provideTextDocumentContent(page: Uri): Promise<string> {
    const known = this.#pages.get(page.toString());
    if (known !== undefined) return known;
    const config = Uri.parse(page.query, true);
    const answer = await this.server.request(planRequest, { uri: config.toString() });
    if (isRefusal(answer)) return answer.refused;
    const text = planDocument(basename(config.path), answer, this.formats, l10n.t);
    this.#pages.set(page.toString(), text);
    return text;
  }

  async show(config: Uri): Promise<void> {
    const name = basename(config.path);
    try {
      const answer = await window.withProgress(
        { location: ProgressLocation.Notification, title: l10n.t("Planning {0}", name), cancellable: true },
        (_progress, token) =>
          this.server.request(planRequest, { uri: config.toString() }, token).catch((error: unknown) => {
            if (token.isCancellationRequested) return undefined;
            throw error;
          }),
      );
      if (answer === undefined) return;
      if (isRefusal(answer)) return void showRefusal(answer);
      const page = pageOf(config);
      this.#pages.set(page.toString(), planDocument(name, answer, this.formats, l10n.t));
      this.#changed.fire(page);
      await commands.executeCommand("markdown.showPreviewToSide", page);
    } catch (error) {
      void window.showErrorMessage(l10n.t("The plan of {0} could not be made: {1}", name, messageOf(error)));
    }
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }
}
