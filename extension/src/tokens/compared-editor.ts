import {
  type CancellationToken,
  CancellationTokenSource,
  type DecorationOptions,
  type Disposable,
  Hover,
  l10n,
  type Position,
  Range,
  type TextDocument,
  type TextEditor,
} from "vscode";
import {
  type TextSource,
  type TextTokens,
  type TokenizerChoice,
  textTokensRequest,
  tokensAtRequest,
} from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import { isSharedText, type ServerConnection } from "../language-client";
import { isRefusal, toProtocolPosition, toRange } from "../reveal";
import type { ChosenTokenizers } from "./chosen-tokenizers";
import type { Drawing } from "./inline-comparison";
import { countLabel, type DrawnTokens, drawnTokens } from "./text-decorations";
import { tokensHover } from "./token-hover";

/** While one types or scrolls, tokens are asked for this often at most, in milliseconds. */
const pause = 120;
/** So long must a long text be left alone before it is tokenised whole, in milliseconds. */
const rest = 1_000;
/** Lines beyond the screen that are drawn already when one scrolls. */
const marginLines = 15;
/** A longer selection is not compared. In UTF-16 units. */
const longestSelection = 10_000_000;

/** Rows of datasets are rendered before they are tokenised, so only counts of what is selected are drawn over them. */
const renderedLanguages = new Set(["json", "jsonl"]);

export const isComparable = ({ uri }: TextDocument): boolean =>
  !["output", "vscode-settings", "comment"].includes(uri.scheme);

/** What is compared in an editor: lines of its text, or a selection as a text of its own. */
interface Part {
  source: TextSource;
  /** Where the source begins in the document; positions of a text of no document count from its own beginning. */
  origin: Position | undefined;
  lines: { first: number; last: number };
  drawn: boolean;
}

/** One editor whose text is compared. */
export class ComparedEditor implements Disposable {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #request: CancellationTokenSource | undefined;
  #hadSelection = false;
  #total: number | undefined;
  #problem: string | undefined;

  constructor(
    private readonly editor: TextEditor,
    private readonly server: ServerConnection,
    private readonly chosen: ChosenTokenizers,
    private readonly formats: Formats,
    private readonly drawing: Drawing,
    private readonly onCounts: () => void,
  ) {}

  /** The shown tokenizer's tokens of the selection, or of the whole text; undefined until that is known. */
  get total(): number | undefined {
    return this.#total;
  }

  /** Why a tokenizer cannot be used. */
  get problem(): string | undefined {
    return this.#problem;
  }

  selectionChanged(): void {
    const has = this.#selection() !== undefined;
    if (has || this.#hadSelection) this.refresh("later");
  }

  /** Draws anew what is on the screen; what was asked for before is given up. */
  refresh(when: "now" | "later" | "rested"): void {
    clearTimeout(this.#timer);
    this.#request?.cancel();
    const delay = when === "now" ? 0 : when === "later" ? pause : rest;
    this.#timer = setTimeout(() => void this.#update(when === "rested"), delay);
  }

  #selection(): Range | undefined {
    const { selection, document } = this.editor;
    if (selection.isEmpty) return undefined;
    const length = document.offsetAt(selection.end) - document.offsetAt(selection.start);
    return length <= longestSelection ? new Range(selection.start, selection.end) : undefined;
  }

  #part(): Part | undefined {
    const { document, visibleRanges } = this.editor;
    const selection = this.#selection();
    this.#hadSelection = selection !== undefined;
    const shared = isSharedText(document);
    const [first, last] = [visibleRanges[0], visibleRanges.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const lines = {
      first: Math.max(0, first.start.line - marginLines),
      last: Math.min(document.lineCount - 1, last.end.line + marginLines),
    };
    const uri = document.uri.toString();
    if (selection === undefined) {
      return shared
        ? { source: { uri, version: document.version }, origin: undefined, lines, drawn: true }
        : undefined;
    }
    const within = {
      first: Math.max(lines.first, selection.start.line),
      last: Math.min(lines.last, selection.end.line),
    };
    const drawn = !renderedLanguages.has(document.languageId);
    if (shared) {
      const range = {
        start: toProtocolPosition(selection.start),
        end: toProtocolPosition(selection.end),
      };
      const source = { uri, version: document.version, range };
      return { source, origin: undefined, lines: within, drawn };
    }
    return {
      source: { uri, text: document.getText(selection) },
      origin: selection.start,
      lines: {
        first: within.first - selection.start.line,
        last: Math.max(0, within.last - selection.start.line),
      },
      drawn,
    };
  }

  async #update(wait: boolean): Promise<void> {
    const part = this.#part();
    if (part === undefined) return this.#clear();
    const request = new CancellationTokenSource();
    this.#request = request;
    const { document } = this.editor;
    const { version } = document;
    const selection = this.#selection();
    const counts = new Map<TokenizerChoice, TextTokens>();
    this.#problem = undefined;
    let isWhole = true;
    for (const tokenizer of this.chosen.shownFirst) {
      const isShown = tokenizer === this.chosen.shown;
      const answer = await this.server
        .request(
          textTokensRequest,
          {
            source: part.source,
            tokenizer: tokenizer.path,
            lines: part.lines,
            spans: isShown && part.drawn,
            wait,
          },
          request.token,
        )
        .catch(() => undefined);
      if (request.token.isCancellationRequested || document.version !== version) return;
      if (answer === undefined) continue;
      if (isRefusal(answer)) {
        this.#problem = `${tokenizer.name}: ${answer.refused}`;
        if (isShown) this.#clearTokens();
        continue;
      }
      isWhole &&= answer.count !== null;
      counts.set(tokenizer, answer);
      if (isShown) {
        this.#total = answer.count ?? undefined;
        this.#drawTokens(part, answer);
      }
      this.#drawCounts(part, counts, selection);
      this.onCounts();
    }
    if (counts.size === 0) this.#clear();
    this.onCounts();
    // The lines were answered from the text around them: the whole is known when it is left alone for a moment.
    if (!isWhole) this.refresh("rested");
  }

  #drawTokens({ origin }: Part, tokens: TextTokens): void {
    const drawn = drawnTokens(tokens);
    for (const look of Object.keys(drawn) as (keyof DrawnTokens)[]) {
      const ranges = drawn[look].map((range) => placed(toRange(range), origin));
      this.editor.setDecorations(this.drawing.looks[look], ranges);
    }
  }

  #drawCounts(
    { lines }: Part,
    answers: ReadonlyMap<TokenizerChoice, TextTokens>,
    selection: Range | undefined,
  ): void {
    const { document } = this.editor;
    const label = (count: (tokens: TextTokens) => number | undefined) => {
      const counts = this.chosen.tokenizers.map((tokenizer) => {
        const answer = answers.get(tokenizer);
        return { name: tokenizer.name, count: answer && count(answer) };
      });
      return countLabel(counts, this.formats.count, (count) => l10n.t("{0} tokens", count));
    };
    const after = (at: Position, contentText: string): DecorationOptions[] =>
      contentText === "" ? [] : [{ range: new Range(at, at), renderOptions: { after: { contentText } } }];
    const options: DecorationOptions[] = [];
    if (selection !== undefined) {
      const text = label(({ count }) => count ?? undefined);
      const { end } = document.lineAt(selection.end.line).range;
      options.push(...after(end, text === "" ? "" : l10n.t("selected: {0}", text)));
    } else {
      for (let line = lines.first; line <= lines.last && line < document.lineCount; line++) {
        const { range, isEmptyOrWhitespace } = document.lineAt(line);
        if (isEmptyOrWhitespace) continue;
        options.push(
          ...after(
            range.end,
            label(({ lines: counts }) => counts[line - lines.first]),
          ),
        );
      }
    }
    this.editor.setDecorations(this.drawing.counts, options);
  }

  async hover(position: Position, token: CancellationToken): Promise<Hover | undefined> {
    const part = this.#part();
    if (part === undefined || !part.drawn) return undefined;
    const { origin, source } = part;
    const selection = this.#selection();
    if (selection !== undefined && !selection.contains(position)) return undefined;
    const answer = await this.server.request(
      tokensAtRequest,
      {
        source,
        position: toProtocolPosition(unplaced(position, origin)),
        tokenizers: this.chosen.shownFirst,
      },
      token,
    );
    if (isRefusal(answer)) return undefined;
    return new Hover(tokensHover(answer), placed(toRange(answer.range), origin));
  }

  #clearTokens(): void {
    this.#total = undefined;
    for (const look of Object.values(this.drawing.looks)) this.editor.setDecorations(look, []);
  }

  #clear(): void {
    this.#clearTokens();
    this.editor.setDecorations(this.drawing.counts, []);
    this.onCounts();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#request?.cancel();
    this.#clear();
  }
}

/** From a text that begins at `origin` to the document, and back. */
function placed(range: Range, origin: Position | undefined): Range {
  if (origin === undefined) return range;
  const move = (at: Position) => at.translate(origin.line, at.line === 0 ? origin.character : 0);
  return new Range(move(range.start), move(range.end));
}
function unplaced(at: Position, origin: Position | undefined): Position {
  if (origin === undefined) return at;
  return at.translate(-origin.line, at.line === origin.line ? -origin.character : 0);
}
