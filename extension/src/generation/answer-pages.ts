import {
  type Disposable,
  EventEmitter,
  l10n,
  type TextDocumentContentProvider,
  Uri,
  ViewColumn,
  window,
  workspace,
} from "vscode";
import type { GenerationEvent } from "../../../language-server/src/protocol";
import { answerText } from "./answer-text";

const scheme = "ziptie-answers";

/** While answers are written, their page is drawn anew this often at most, in milliseconds; a long one less often. */
const pause = 150;
const pauseForCharacter = 1 / 500;

/** Answers as read-only pages beside the editor, written before the reader's eyes. They go with their window. */
export class AnswerPages implements TextDocumentContentProvider, Disposable {
  readonly #changed = new EventEmitter<Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #pages = new Map<string, AnswerPage>();
  readonly #disposables: Disposable[];
  #made = 0;

  constructor() {
    this.#disposables = [
      this.#changed,
      workspace.registerTextDocumentContentProvider(scheme, this),
      workspace.onDidCloseTextDocument(({ uri }) => {
        // A page that is given another language mode is said to be closed, too.
        const isOpen = workspace.textDocuments.some((document) => document.uri.toString() === uri.toString());
        if (uri.scheme === scheme && !isOpen) this.#pages.delete(uri.toString());
      }),
    ];
  }

  provideTextDocumentContent(uri: Uri): string {
    return (
      this.#pages.get(uri.toString())?.text ??
      l10n.t("These answers went with the window that they were given in. Run Ziptie: Generate again.")
    );
  }

  /** Opens an empty page. @param name of what answers */
  async open(name: string): Promise<AnswerPage> {
    const uri = Uri.from({
      scheme,
      path: `/${l10n.t("Answers of {0}", name)}.md`,
      query: String(++this.#made),
    });
    const page = new AnswerPage(() => this.#changed.fire(uri));
    this.#pages.set(uri.toString(), page);
    const document = await workspace.openTextDocument(uri);
    await window.showTextDocument(document, {
      viewColumn: ViewColumn.Beside,
      preserveFocus: true,
      preview: false,
    });
    return page;
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }
}

export class AnswerPage {
  text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly draw: () => void) {}

  add(events: readonly GenerationEvent[]): void {
    this.text += events.map(answerText).join("");
    this.#timer ??= setTimeout(() => this.#drawNow(), Math.max(pause, this.text.length * pauseForCharacter));
  }

  /** Nothing more will come. @param note why, if it has not come to its end */
  end(note?: string): void {
    if (note !== undefined) this.text = `${this.text.trimEnd()}\n\n*${note}*\n`.trimStart();
    clearTimeout(this.#timer);
    this.#drawNow();
  }

  #drawNow(): void {
    this.#timer = undefined;
    this.draw();
  }
}
