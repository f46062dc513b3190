import {
  type CancellationToken,
  LSPErrorCodes,
  type MessageConnection,
  ResponseError,
} from "vscode-languageserver";
import type { CorpusProgress, TextTokens, TokenizerChoice, TokensAt } from "../../protocol";
import { CorpusError } from "../../tokenizers/corpus";
import type { TokenizedText } from "../../tokenizers/text-comparison";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import { comparedCorpus } from "./compared-corpus";
import { ComparedTextVersion } from "./compared-text";
import { toComparedToken, toTokenizerFigures } from "./compared-token";
import {
  compareCorpusRequest,
  compareTextRequest,
  corpusProgressNotification,
  type MissingText,
  type TextReference,
  textTokensRequest,
  tokensAtRequest,
} from "./comparison-protocol";
import { KeptTexts } from "./kept-texts";
import { isLine } from "./span-members";
import { zipTieNeighbours } from "./zip-tie-neighbours";
import { zipTieParts } from "./zip-tie-parts";

/** How soon a request that waits for native code notices that it was cancelled, in milliseconds. */
const cancellationInterval = 50;
/** Texts that are kept with their tokens. */
const keptTexts = 8;

/** The worker's side: tokenises texts once, and answers from the tokens. */
export function serveComparison(connection: MessageConnection): void {
  const texts = new KeptTexts(keptTexts);
  /** Stretches of those, for who does not wait for the whole. */
  const windows = new KeptTexts(keptTexts);

  const answering = async <T>(
    { slot, version, text: given }: TextReference,
    token: CancellationToken,
    answer: (text: ComparedTextVersion, signal: AbortSignal) => Promise<T>,
  ): Promise<T | MissingText | { refused: string }> => {
    const make = given === undefined ? undefined : () => new ComparedTextVersion(version, given);
    const text = texts.get(slot, version, make);
    if (!text) return { missing: true };
    return refusing(() =>
      texts.waitFor(text, () => unlessCancelled(token, (signal) => answer(text, signal))),
    );
  };

  /** Answers from the lines and what stands around them, where that is much less than the whole; else from the whole. */
  const answeringFrom = async <T>(
    { slot, version }: TextReference,
    whole: ComparedTextVersion,
    lines: { first: number; last: number },
    signal: AbortSignal,
    answer: (text: ComparedTextVersion, firstLine: number) => Promise<T>,
  ): Promise<T> => {
    const window = whole.around(lines);
    if (window === undefined) return answer(whole, 0);
    const { start, end } = window.span;
    const name = `${version} ${start} ${end}`;
    const text = windows.get(
      slot,
      name,
      () => new ComparedTextVersion(name, whole.text.slice(start, end)),
    ) as ComparedTextVersion;
    return windows.waitFor(text, () => unlessAborted(signal, answer(text, window.firstLine)));
  };

  connection.onRequest(textTokensRequest, ({ reference, tokenizer, lines, spans, wait }, token) =>
    answering(reference, token, async (whole, signal) => {
      const isWhole = wait || whole.settled(tokenizer) !== undefined;
      const from = async (text: ComparedTextVersion, firstLine: number): Promise<TextTokens> => {
        const inside = { first: lines.first - firstLine, last: lines.last - firstLine };
        const tokens = text.tokensOfLines(await text.tokenized(tokenizer), inside, spans);
        if (text === whole) return tokens;
        return {
          ...tokens,
          count: null,
          spans: tokens.spans.map((value, member) => (isLine(member) ? value + firstLine : value)),
        };
      };
      return isWhole ? from(whole, 0) : answeringFrom(reference, whole, lines, signal, from);
    }),
  );

  connection.onRequest(tokensAtRequest, ({ reference, position, tokenizers }, token) =>
    answering(reference, token, async (whole, signal) => {
      const from = async (
        text: ComparedTextVersion,
        firstLine: number,
      ): Promise<TokensAt | { refused: string }> => {
        const results = await tokenizedBy(text, tokenizers, false);
        const [shown] = results;
        if (shown && "refused" in shown) return { refused: shown.refused };
        const offset = text.lines.offsetAt({ ...position, line: position.line - firstLine });
        const zipTies = await Promise.all(tokenizers.map(({ path }) => zipTieParts(path)));
        const at = text.tokensAt(offset, results, zipTies);
        if (!at) return { refused: "No token stands here." };
        const { start, end } = at.range;
        return {
          ...at,
          range: {
            start: { ...start, line: start.line + firstLine },
            end: { ...end, line: end.line + firstLine },
          },
        };
      };
      const isSettled = tokenizers.every(({ path }) => whole.settled(path));
      const lines = { first: position.line, last: position.line };
      const at = isSettled
        ? await from(whole, 0)
        : await answeringFrom(reference, whole, lines, signal, from);
      if ("refused" in at) return at;
      const [own] = at.tokenizers;
      for (const each of own && "tokens" in own ? own.tokens : []) {
        if (!each.zip_tie) continue;
        const neighbours = await zipTieNeighbours(tokenizers[0]?.path ?? "", each.token, signal);
        if (neighbours.length > 0) each.neighbours = neighbours;
      }
      return at;
    }),
  );

  connection.onRequest(compareTextRequest, ({ reference, tokenizers, special_tokens, columns }, token) =>
    answering(reference, token, async (text) => {
      const results = await tokenizedBy(text, tokenizers, special_tokens);
      const usable = results.flatMap((result) => ("refused" in result ? [] : [result]));
      const comparison = text.comparison(usable);
      const last = Math.min(columns.first + columns.count, comparison.columnCount);
      return {
        results: results.map((result, index) => ({
          ...(tokenizers[index] as TokenizerChoice),
          ...("refused" in result
            ? { refused: result.refused }
            : { figures: toTokenizerFigures(result.figures) }),
        })),
        columns: Array.from({ length: Math.max(0, last - columns.first) }, (_, index) => {
          const column = comparison.column(columns.first + index);
          return {
            text: text.text.slice(column.start, column.end),
            tokens: column.ids.map((ids, place) => {
              const { tokenizer } = usable[place] as TokenizedText;
              return Array.from(ids, (id) => toComparedToken(id, tokenizer));
            }),
          };
        }),
        column_count: comparison.columnCount,
      };
    }),
  );

  connection.onRequest(compareCorpusRequest, (params, token) => {
    const onProgress = (progress: Omit<CorpusProgress, "job">) => {
      void connection.sendNotification(corpusProgressNotification, { job: params.job, ...progress });
    };
    return refusing(() => unlessCancelled(token, (signal) => comparedCorpus(params, signal, onProgress)));
  });
}

/** Each tokenizer's tokens; one that cannot be used says why and does not keep the others from it. */
async function tokenizedBy(
  text: ComparedTextVersion,
  tokenizers: readonly TokenizerChoice[],
  addSpecialTokens: boolean,
): Promise<(TokenizedText | { name: string; refused: string })[]> {
  const results: (TokenizedText | { name: string; refused: string })[] = [];
  for (const { name, path } of tokenizers) {
    try {
      results.push({ ...(await text.tokenized(path, addSpecialTokens)), name });
    } catch (error) {
      if (!(error instanceof TokenizerError)) throw error;
      results.push({ name, refused: error.message });
    }
  }
  return results;
}

async function refusing<T>(answer: () => Promise<T>): Promise<T | { refused: string }> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof TokenizerError || error instanceof CorpusError) return { refused: error.message };
    if ((error as Error).name === "AbortError")
      throw new ResponseError(LSPErrorCodes.RequestCancelled, "Cancelled.");
    throw error;
  }
}

/** The cancellation reaches a worker through shared memory, which has to be looked at. */
function watch(token: CancellationToken, onCancelled: () => void): NodeJS.Timeout {
  return setInterval(() => {
    if (token.isCancellationRequested) onCancelled();
  }, cancellationInterval);
}

/** @param work is given a signal to give up by, and is not waited for when it does not */
async function unlessCancelled<T>(
  token: CancellationToken,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const watching = watch(token, () => controller.abort());
  try {
    return await unlessAborted(controller.signal, work(controller.signal));
  } finally {
    clearInterval(watching);
  }
}

/** @throws the signal's reason */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
