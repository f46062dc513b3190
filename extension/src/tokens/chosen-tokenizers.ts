import { commands, type Disposable, EventEmitter, type Memento } from "vscode";
import { comparedTokenizersNotification, type TokenizerChoice } from "../../../language-server/src/protocol";
import type { ServerConnection } from "../language-client";

interface Saved {
  tokenizers: TokenizerChoice[];
  /** Path of the one whose tokens are drawn. */
  shown?: string;
  /** Whether counts and tokens are drawn in editors. */
  inline: boolean;
}

const key = "ziptie.tokenizers";
const nothing: Saved = { tokenizers: [], inline: false };

/** The tokenizers that a person compares with each other; remembered for the workspace. */
export class ChosenTokenizers implements Disposable {
  readonly #changed = new EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #started: Disposable;
  #saved: Saved;

  constructor(
    private readonly server: ServerConnection,
    private readonly memory: Memento,
  ) {
    this.#saved = memory.get<Saved>(key) ?? nothing;
    // A new server knows nothing of them.
    this.#started = server.onDidStart(() => this.#tell());
    this.#setContext();
  }

  get tokenizers(): readonly TokenizerChoice[] {
    return this.#saved.tokenizers;
  }

  /** The one whose tokens are drawn. */
  get shown(): TokenizerChoice | undefined {
    const { tokenizers, shown } = this.#saved;
    return tokenizers.find(({ path }) => path === shown) ?? tokenizers[0];
  }

  /** The shown one first. */
  get shownFirst(): TokenizerChoice[] {
    const { shown } = this;
    return shown === undefined ? [] : [shown, ...this.tokenizers.filter((each) => each !== shown)];
  }

  /** Whether they are compared in the editors' text. */
  get isInline(): boolean {
    return this.#saved.inline && this.#saved.tokenizers.length > 0;
  }

  choose(tokenizers: readonly TokenizerChoice[], shown: string | undefined): void {
    this.#save({ ...this.#saved, tokenizers: [...tokenizers], ...(shown === undefined ? {} : { shown }) });
  }

  setInline(inline: boolean): void {
    this.#save({ ...this.#saved, inline });
  }

  /** Draws the next one's tokens. */
  showNext(): void {
    const { tokenizers, shown } = this;
    const place = shown === undefined ? -1 : tokenizers.indexOf(shown);
    const next = tokenizers[(place + 1) % tokenizers.length];
    if (next !== undefined) this.#save({ ...this.#saved, shown: next.path });
  }

  #save(saved: Saved): void {
    this.#saved = saved;
    void this.memory.update(key, saved);
    this.#setContext();
    this.#tell();
    this.#changed.fire();
  }

  #setContext(): void {
    void commands.executeCommand("setContext", "ziptie.inlineTokens", this.isInline);
    void commands.executeCommand("setContext", "ziptie.severalTokenizers", this.tokenizers.length > 1);
  }

  #tell(): void {
    const tokenizers = this.isInline ? [...this.tokenizers] : [];
    void this.server.notify(comparedTokenizersNotification, { tokenizers });
  }

  dispose(): void {
    this.#started.dispose();
    this.#changed.dispose();
  }
}
