import {
  type CancellationToken,
  commands,
  type DecorationOptions,
  type Disposable,
  Hover,
  l10n,
  languages,
  Position,
  type TextDocument,
  type TextEditor,
  window,
  workspace,
} from "vscode";
import { type RowTokens, rowTokensAtRequest, rowTokensRequest } from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import { messageOf, type ServerConnection } from "../language-client";
import { isRefusal, showRefusal, toProtocolPosition, toRange } from "../reveal";
import type { ChosenTokenizers } from "./chosen-tokenizers";
import { groupTokens } from "./token-groups";
import { tokensHover } from "./token-hover";
import { makeTokenLooks, type TokenLooks } from "./token-looks";

/** A selection over more rows than this shows the first ones. */
const maxRows = 50;

/** The tokens of a dataset's rows, drawn over their text until the text changes or the cursor leaves. */
export class TokenView implements Disposable {
  #looks: TokenLooks | undefined;
  #shown: { editor: TextEditor; rows: RowTokens[] } | undefined;
  #status: Disposable | undefined;
  /** Grows with every request, so that an answer that was overtaken is not drawn. */
  #request = 0;
  readonly #disposables: Disposable[];

  constructor(
    private readonly server: ServerConnection,
    private readonly chosen: ChosenTokenizers,
    private readonly formats: Formats,
  ) {
    this.#disposables = [
      languages.registerHoverProvider(["json", "jsonl"], { provideHover: (...at) => this.#hover(...at) }),
      workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0 && document === this.#shown?.editor.document) this.hide();
      }),
      window.onDidChangeTextEditorSelection(({ textEditor, selections }) => {
        const shown = this.#shown;
        if (textEditor !== shown?.editor) return;
        const stays = selections.some(({ active }) =>
          shown.rows.some(({ range }) => range.start.line <= active.line && active.line <= range.end.line),
        );
        if (!stays) this.hide();
      }),
      window.onDidChangeVisibleTextEditors((editors) => {
        if (this.#shown !== undefined && !editors.includes(this.#shown.editor)) this.hide();
      }),
    ];
  }

  /** Shows the tokens of the row at the cursor, or of the selected rows. When they are shown already, hides them. */
  async toggle(): Promise<void> {
    const editor = window.activeTextEditor;
    if (editor === undefined) {
      void window.showInformationMessage(
        l10n.t("Open a dataset and put the cursor on a row to see its tokens."),
      );
      return;
    }
    const { selection } = editor;
    const again =
      this.#shown?.editor === editor &&
      this.#shown.rows.some(({ range }) => toRange(range).contains(selection.active));
    this.hide();
    if (again && selection.isEmpty) return;

    const request = ++this.#request;
    const { document } = editor;
    const version = document.version;
    try {
      const rows = await this.#rowsOf(editor);
      if (request !== this.#request || document.version !== version) return;
      if (!Array.isArray(rows)) return void showRefusal(rows);
      this.#show(editor, rows);
    } catch (error) {
      void window.showErrorMessage(l10n.t("The tokens could not be shown: {0}", messageOf(error)));
    }
  }

  hide(): void {
    this.#request++;
    this.#status?.dispose();
    this.#status = undefined;
    if (this.#shown === undefined) return;
    const { editor } = this.#shown;
    this.#shown = undefined;
    for (const look of Object.values(this.#looks ?? {})) editor.setDecorations(look, []);
    void commands.executeCommand("setContext", "ziptie.tokensShown", false);
  }

  async #rowsOf({ document, selection }: TextEditor) {
    const rows: RowTokens[] = [];
    let position = selection.start;
    while (rows.length < maxRows) {
      const answer = await this.server.request(rowTokensRequest, {
        uri: document.uri.toString(),
        position: toProtocolPosition(position),
      });
      // A selection may begin or end between rows; only when there is no row at all is that worth a message.
      if (isRefusal(answer)) return rows.length === 0 ? answer : rows;
      rows.push(answer);
      const { end } = answer.range;
      const next = document.lineAt(end.line).range.end.isAfter(new Position(end.line, end.character))
        ? new Position(end.line, end.character + 1)
        : new Position(end.line + 1, 0);
      if (next.isAfterOrEqual(selection.end) || next.line >= document.lineCount) return rows;
      position = next;
    }
    return rows;
  }

  #show(editor: TextEditor, rows: RowTokens[]): void {
    this.#looks ??= makeTokenLooks();
    const options: Record<keyof TokenLooks, DecorationOptions[]> = {
      even: [],
      odd: [],
      trained: [],
      special: [],
      byte: [],
    };
    for (const row of rows) {
      groupTokens(row.tokens).forEach((group, index) => {
        const range = toRange(group.range);
        options[index % 2 === 0 ? "even" : "odd"].push({ range });
        if (group.tokens.some((token) => token.supervised)) options.trained.push({ range });
        if (group.tokens.some((token) => token.kind === "special")) options.special.push({ range });
        if (group.tokens.some((token) => token.kind === "byte")) options.byte.push({ range });
      });
    }
    for (const key of Object.keys(options) as (keyof TokenLooks)[]) {
      editor.setDecorations(this.#looks[key], options[key]);
    }
    this.#shown = { editor, rows };
    this.#status = window.setStatusBarMessage(this.#summary(rows));
    void commands.executeCommand("setContext", "ziptie.tokensShown", true);
  }

  #summary(rows: readonly RowTokens[]): string {
    const { count } = this.formats;
    const sum = (of: (row: RowTokens) => number) => rows.reduce((total, row) => total + of(row), 0);
    const parts = [
      l10n.t("{0} tokens", count(sum((row) => row.count))),
      l10n.t("{0} trained", count(sum((row) => row.supervised))),
    ];
    const cut = rows.find((row) => row.cut !== undefined)?.cut;
    if (cut !== undefined) {
      const lost = count(sum((row) => row.cut?.supervised_lost ?? 0));
      parts.push(l10n.t("cut at {0}: loses {1} trained", count(cut.max_length), lost));
    }
    return `$(symbol-key) ${parts.join(" · ")}`;
  }

  /** The token's ids and bytes, whether it is trained, and the same characters under the other chosen tokenizers. */
  async #hover(
    document: TextDocument,
    position: Position,
    token: CancellationToken,
  ): Promise<Hover | undefined> {
    const shown = this.#shown;
    if (shown?.editor.document !== document) return undefined;
    for (const row of shown.rows) {
      const group = groupTokens(row.tokens).find(({ range }) => {
        const drawn = toRange(range);
        return drawn.contains(position) && drawn.end.isAfter(position);
      });
      if (group === undefined) continue;
      const answer = await this.server.request(
        rowTokensAtRequest,
        { uri: document.uri.toString(), range: group.range, tokenizers: [...this.chosen.tokenizers] },
        token,
      );
      if (isRefusal(answer)) return undefined;
      const trained = group.tokens.some(({ supervised }) => supervised)
        ? l10n.t("carries loss")
        : l10n.t("masked: carries no loss");
      const hover = tokensHover(answer, trained);
      hover.appendText(l10n.t("Tokenizer {0}, template {1}", row.tokenizer, row.template));
      return new Hover(hover, toRange(group.range));
    }
    return undefined;
  }

  dispose(): void {
    this.hide();
    for (const disposable of this.#disposables) disposable.dispose();
    for (const look of Object.values(this.#looks ?? {})) look.dispose();
  }
}
