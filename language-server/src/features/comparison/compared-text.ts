import type { Range, TextTokens, TokensAt } from "../../protocol";
import { LineIndex } from "../../text/line-index";
import type { Span } from "../../text/span";
import type { Encoded } from "../../tokenizers/encoded";
import { figuresOf } from "../../tokenizers/figures";
import { TextComparison, type TokenizedText } from "../../tokenizers/text-comparison";
import { type LoadedTokenizer, loadTokenizer } from "../../tokenizers/tokenizer";
import { toComparedToken } from "./compared-token";
import type { ZipTieParts } from "./zip-tie-parts";

/** Places that an answer holds at most: a line of megabytes is not drawn whole by any editor. */
const maxSpans = 20_000;

/** Characters that are tokenised on either side of lines that cannot wait for the whole text. */
const margin = 2_000;
/** With more than this around the lines, the whole is waited for. */
const longestWindow = 200_000;

/**
 * One version of a text, tokenised whole by every tokenizer that was asked for, each once: a request that is given up
 * leaves the work going for the next one.
 */
export class ComparedTextVersion {
  readonly lines: LineIndex;
  readonly #tokenized = new Map<string, Promise<TokenizedText>>();
  readonly #settled = new Map<string, TokenizedText>();
  readonly #places = new WeakMap<Encoded, Uint8Array>();
  readonly #dropped = new AbortController();
  #comparison: { results: readonly TokenizedText[]; comparison: TextComparison } | undefined;

  constructor(
    readonly version: string,
    readonly text: string,
  ) {
    this.lines = new LineIndex(text);
  }

  /** What has been tokenised already. */
  settled(path: string): TokenizedText | undefined {
    return this.#settled.get(path);
  }

  /**
   * Some lines and what stands around them, to be taken for a text of its own; undefined where that is not much less than
   * the whole. Its tokens are those of the whole wherever a tokenizer's merges do not reach over `margin` characters.
   */
  around(lines: { first: number; last: number }): { span: Span; firstLine: number } | undefined {
    const last = Math.min(lines.last, this.lines.lineCount - 1);
    const firstLine = this.lines.lineOf(this.lines.lineSpan(Math.min(lines.first, last)).start - margin);
    const { end } = this.lines.lineSpan(this.lines.lineOf(this.lines.lineSpan(last).end + margin));
    const { start } = this.lines.lineSpan(firstLine);
    if (end - start > Math.min(longestWindow, this.text.length / 2)) return undefined;
    return { span: { start, end }, firstLine };
  }

  /** Gives up what is still being tokenised. */
  drop(): void {
    this.#dropped.abort();
  }

  /** @throws TokenizerError */
  async tokenized(path: string, addSpecialTokens = false): Promise<TokenizedText> {
    const tokenizer = await loadTokenizer(path);
    const key = `${addSpecialTokens} ${path}`;
    const known = this.#tokenized.get(key);
    if (known && (await known).tokenizer === tokenizer) return known;
    const encoding = this.#encode(path, tokenizer, addSpecialTokens);
    this.#tokenized.set(key, encoding);
    encoding.catch(() => {
      if (this.#tokenized.get(key) === encoding) this.#tokenized.delete(key);
    });
    return encoding;
  }

  async #encode(path: string, tokenizer: LoadedTokenizer, addSpecialTokens: boolean): Promise<TokenizedText> {
    const encoded = await tokenizer.encode(this.text, { addSpecialTokens, signal: this.#dropped.signal });
    const tokenized = { name: path, tokenizer, encoded, figures: figuresOf(encoded, tokenizer) };
    if (!addSpecialTokens) this.#settled.set(path, tokenized);
    return tokenized;
  }

  /** Several tokenizers' tokens, aligned; kept until others are asked for. */
  comparison(results: readonly TokenizedText[]): TextComparison {
    const kept = this.#comparison;
    const isKept =
      kept?.results.length === results.length &&
      results.every(({ name, encoded }, index) => {
        const known = kept.results[index];
        return known?.encoded === encoded && known.name === name;
      });
    if (isKept) return kept.comparison;
    const comparison = new TextComparison(this.text, results);
    this.#comparison = { results: [...results], comparison };
    return comparison;
  }

  /** The tokens of some lines. */
  tokensOfLines(
    { encoded, tokenizer }: TokenizedText,
    { first, last }: { first: number; last: number },
    wantSpans: boolean,
  ): TextTokens {
    const { ids, spans } = encoded;
    const lastLine = Math.min(last, this.lines.lineCount - 1);
    const starts: number[] = [];
    for (let line = first; line <= lastLine + 1; line++) {
      starts.push(firstFrom(spans, this.#lineStart(line)));
    }
    const answer: TextTokens = {
      count: ids.length,
      lines: starts.slice(1).map((start, index) => start - (starts[index] as number)),
      spans: [],
      bytes: [],
      special: [],
      odd: false,
    };
    if (!wantSpans || starts.length === 0) return answer;
    // A token that began above may reach onto the first line.
    let from = Math.max(0, (starts[0] as number) - 1);
    while (from > 0 && spans[2 * from - 2] === spans[2 * from]) from--;
    const to = starts.at(-1) as number;
    answer.odd = this.#placeNumbers(encoded)[from] === 1;
    let place: { start: number; end: number; ids: number[] } | undefined;
    let line = this.lines.lineOf(spans[2 * from] ?? 0);
    const flush = () => {
      if (!place) return;
      const index = answer.spans.length / 5;
      const range = this.#rangeFrom(line, place);
      line = range.start.line;
      const kinds = place.ids.map((id) => tokenizer.kind(id));
      answer.spans.push(
        range.start.line,
        range.start.character,
        range.end.line,
        range.end.character,
        place.ids.length,
      );
      if (kinds.includes("byte")) answer.bytes.push(index);
      if (kinds.includes("special")) answer.special.push(index);
    };
    for (let index = from; index < to && answer.spans.length / 5 < maxSpans; index++) {
      const start = spans[2 * index] as number;
      const end = spans[2 * index + 1] as number;
      if (start === end) continue;
      if (place && place.start === start && place.end === end) place.ids.push(ids[index] as number);
      else {
        flush();
        place = { start, end, ids: [ids[index] as number] };
      }
    }
    flush();
    return answer;
  }

  /** For every token whether it stands on an odd place; tokens on the same characters share one. */
  #placeNumbers(encoded: Encoded): Uint8Array {
    let numbers = this.#places.get(encoded);
    if (numbers) return numbers;
    const { spans } = encoded;
    numbers = new Uint8Array(spans.length / 2);
    let place = 0;
    let last = -1;
    for (let index = 0; index < numbers.length; index++) {
      if (spans[2 * index] !== spans[2 * index + 1]) {
        const isSame =
          last >= 0 && spans[2 * index] === spans[2 * last] && spans[2 * index + 1] === spans[2 * last + 1];
        if (last >= 0 && !isSame) place ^= 1;
        last = index;
      }
      numbers[index] = place;
    }
    this.#places.set(encoded, numbers);
    return numbers;
  }

  #lineStart(line: number): number {
    return line < this.lines.lineCount ? this.lines.lineSpan(line).start : this.text.length + 1;
  }

  /** As `LineIndex.rangeOf`, for spans that follow each other closely. */
  #rangeFrom(line: number, { start, end }: Span): Range {
    while (line + 1 < this.lines.lineCount && this.lines.lineSpan(line + 1).start <= start) line++;
    const lineStart = this.lines.lineSpan(line).start;
    const next =
      line + 1 < this.lines.lineCount ? this.lines.lineSpan(line + 1).start : Number.POSITIVE_INFINITY;
    return {
      start: { line, character: start - lineStart },
      end: end < next ? { line, character: end - lineStart } : this.lines.positionAt(end),
    };
  }

  /**
   * The shown tokenizer's tokens at an offset, and what the others have on the same characters.
   * @param zipTies of the results' tokenizers, in their order
   */
  tokensAt(
    offset: number,
    results: readonly (TokenizedText | { name: string; refused: string })[],
    zipTies: readonly (ZipTieParts | undefined)[] = [],
  ): TokensAt | null {
    const [shown] = results;
    if (!shown || "refused" in shown) return null;
    const span = spanAround(shown.encoded.spans, offset);
    if (!span) return null;
    return {
      range: this.lines.rangeOf(span),
      text: this.text.slice(span.start, span.end),
      tokenizers: results.map((result, place) =>
        "refused" in result
          ? result
          : {
              name: result.name,
              tokens: overlapping(result.encoded.spans, span).map((index) =>
                toComparedToken(result.encoded.ids[index] as number, result.tokenizer, zipTies[place]),
              ),
            },
      ),
    };
  }
}

/** The first token that begins at an offset or after it. */
function firstFrom(spans: Uint32Array, offset: number): number {
  let low = 0;
  let high = spans.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[2 * middle] as number) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The span of the token whose characters hold an offset. */
function spanAround(spans: Uint32Array, offset: number): Span | null {
  for (let index = firstFrom(spans, offset + 1) - 1; index >= 0; index--) {
    const start = spans[2 * index] as number;
    const end = spans[2 * index + 1] as number;
    if (start === end) continue;
    return offset < end ? { start, end } : null;
  }
  return null;
}

/** The tokens that stand, with some character, on a span. */
function overlapping(spans: Uint32Array, { start, end }: Span): number[] {
  let first = firstFrom(spans, start);
  while (first > 0 && (spans[2 * first - 1] as number) > start) first--;
  const found: number[] = [];
  for (let index = first; index < spans.length / 2 && (spans[2 * index] as number) < end; index++) {
    const from = spans[2 * index] as number;
    const to = spans[2 * index + 1] as number;
    if (from < to && to > start) found.push(index);
  }
  return found;
}
