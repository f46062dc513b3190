import {
  type Disposable,
  type TextEditor,
  type Uri,
  ViewColumn,
  type WebviewPanel,
  window,
  workspace,
} from "vscode";
import { corpusProgressNotification } from "../../../language-server/src/protocol";
import type { ServerConnection } from "../language-client";
import type { ChosenTokenizers } from "../tokens/chosen-tokenizers";
import { ComparisonPanel } from "./comparison-panel";
import { textOf } from "./text-source";

const viewType = "ziptie.comparison";
/** While one types or selects, the text is compared this often at most, in milliseconds. */
const pause = 250;

/** The comparison panel, of which there is one; restored after a reload. */
export class ComparisonPanels implements Disposable {
  #open: ComparisonPanel | undefined;
  /** The editor that was last in front: the panel itself is none. */
  #editor: TextEditor | undefined = window.activeTextEditor;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #disposables: Disposable[];

  constructor(
    private readonly extensionUri: Uri,
    private readonly server: ServerConnection,
    private readonly chosen: ChosenTokenizers,
    private readonly chooseTokenizers: () => Promise<unknown>,
  ) {
    server.onNotification(corpusProgressNotification, (progress) => this.#open?.progress(progress));
    this.#disposables = [
      window.registerWebviewPanelSerializer(viewType, {
        deserializeWebviewPanel: async (panel: WebviewPanel) => {
          if (this.#open === undefined) this.#adopt(panel);
          else panel.dispose();
        },
      }),
      window.onDidChangeActiveTextEditor((editor) => {
        if (editor !== undefined) this.#editor = editor;
        this.#schedule();
      }),
      window.onDidChangeVisibleTextEditors(() => this.#schedule()),
      window.onDidChangeTextEditorSelection(({ textEditor }) => {
        if (textEditor === this.#editor) this.#schedule();
      }),
      workspace.onDidChangeTextDocument(({ document }) => {
        if (document === this.#editor?.document) this.#schedule();
      }),
    ];
  }

  /** Opens the panel beside the text, or brings it to the front. */
  show(part: "text" | "corpus"): ComparisonPanel {
    if (this.#open !== undefined) {
      this.#open.panel.reveal(undefined, true);
      this.#open.reveal(part);
      return this.#open;
    }
    const place = { viewColumn: ViewColumn.Beside, preserveFocus: true };
    const panel = window.createWebviewPanel(viewType, "", place, { enableScripts: true });
    const open = this.#adopt(panel);
    open.reveal(part);
    return open;
  }

  #adopt(panel: WebviewPanel): ComparisonPanel {
    const open = new ComparisonPanel(panel, this.extensionUri, this.server, this.chosen, {
      chooseTokenizers: this.chooseTokenizers,
      text: () => {
        const { visibleTextEditors } = window;
        const last = this.#editor;
        const editor = last !== undefined && visibleTextEditors.includes(last) ? last : visibleTextEditors[0];
        return editor && textOf(editor);
      },
    });
    this.#open = open;
    panel.onDidDispose(() => {
      open.dispose();
      if (this.#open === open) this.#open = undefined;
    });
    return open;
  }

  #schedule(): void {
    if (this.#open === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#open?.compareText(), pause);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const disposable of this.#disposables) disposable.dispose();
    this.#open?.dispose();
  }
}
