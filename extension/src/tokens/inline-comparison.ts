import {
  type CancellationToken,
  type Disposable,
  type Hover,
  l10n,
  languages,
  type Position,
  StatusBarAlignment,
  type StatusBarItem,
  type TextDocument,
  type TextEditor,
  type TextEditorDecorationType,
  window,
  workspace,
} from "vscode";
import type { Formats } from "../format";
import type { ServerConnection } from "../language-client";
import type { ChosenTokenizers } from "./chosen-tokenizers";
import { ComparedEditor, isComparable } from "./compared-editor";
import { makeCountLook, makeTokenLooks, type TokenLooks } from "./token-looks";

export interface Drawing {
  looks: TokenLooks;
  counts: TextEditorDecorationType;
}

/**
 * Counts of the chosen tokenizers and one's tokens, drawn in the editors' texts: on the visible lines of plain text and
 * Markdown, and in any selection.
 */
export class InlineComparison implements Disposable {
  readonly #editors = new Map<TextEditor, ComparedEditor>();
  readonly #status: StatusBarItem;
  readonly #disposables: Disposable[];
  #drawing: Drawing | undefined;

  constructor(
    private readonly server: ServerConnection,
    private readonly chosen: ChosenTokenizers,
    private readonly formats: Formats,
  ) {
    this.#status = window.createStatusBarItem("ziptie.tokenizer", StatusBarAlignment.Right, 90);
    this.#status.name = l10n.t("Ziptie Tokenizer");
    this.#status.command = "ziptie.chooseTokenizers";
    this.#disposables = [
      this.#status,
      chosen.onDidChange(() => this.#sync("now")),
      server.onDidStart(() => this.#sync("now")),
      window.onDidChangeVisibleTextEditors(() => this.#sync("later")),
      window.onDidChangeActiveTextEditor(() => this.#showStatus()),
      window.onDidChangeTextEditorVisibleRanges(({ textEditor }) => this.#of(textEditor)?.refresh("later")),
      window.onDidChangeTextEditorSelection(({ textEditor }) => this.#of(textEditor)?.selectionChanged()),
      workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length === 0) return;
        for (const [editor, compared] of this.#editors) {
          if (editor.document === document) compared.refresh("later");
        }
      }),
      workspace.onDidOpenTextDocument(() => this.#sync("later")),
      languages.registerHoverProvider({ scheme: "*" }, { provideHover: (...at) => this.#hover(...at) }),
    ];
    this.#sync("now");
  }

  #of(editor: TextEditor): ComparedEditor | undefined {
    return this.#editors.get(editor);
  }

  /** Takes up the editors that are on the screen and lets go of the others. */
  #sync(when: "now" | "later"): void {
    const wanted = this.chosen.isInline
      ? window.visibleTextEditors.filter(({ document }) => isComparable(document))
      : [];
    for (const [editor, compared] of this.#editors) {
      if (wanted.includes(editor)) continue;
      compared.dispose();
      this.#editors.delete(editor);
    }
    for (const editor of wanted) {
      let compared = this.#editors.get(editor);
      if (compared === undefined) {
        this.#drawing ??= { looks: makeTokenLooks(), counts: makeCountLook() };
        const onCounts = () => this.#showStatus();
        compared = new ComparedEditor(
          editor,
          this.server,
          this.chosen,
          this.formats,
          this.#drawing,
          onCounts,
        );
        this.#editors.set(editor, compared);
      }
      compared.refresh(when);
    }
    this.#showStatus();
  }

  /** The tokenizer that is drawn, and the tokens of the active text. */
  #showStatus(): void {
    const { shown, isInline } = this.chosen;
    const active = window.activeTextEditor;
    if (!isInline || shown === undefined || active === undefined) {
      this.#status.hide();
      return;
    }
    const compared = this.#of(active);
    const total = compared?.total;
    this.#status.text =
      total === undefined
        ? `$(symbol-key) ${shown.name}`
        : `$(symbol-key) ${shown.name}: ${l10n.t("{0} tokens", this.formats.count(total))}`;
    this.#status.tooltip = compared?.problem ?? l10n.t("Choose the tokenizers to compare");
    this.#status.show();
  }

  async #hover(
    document: TextDocument,
    position: Position,
    token: CancellationToken,
  ): Promise<Hover | undefined> {
    for (const [editor, compared] of this.#editors) {
      if (editor.document === document) return compared.hover(position, token);
    }
    return undefined;
  }

  dispose(): void {
    for (const compared of this.#editors.values()) compared.dispose();
    for (const disposable of this.#disposables) disposable.dispose();
    for (const look of Object.values(this.#drawing?.looks ?? {})) look.dispose();
    this.#drawing?.counts.dispose();
  }
}
