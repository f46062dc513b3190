import { type CancellationToken, type MessageConnection, ResponseError } from "vscode-languageserver";
import type { TokenizerChoice } from "../../protocol";
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
import { isLine } from "./span-members";
import { zipTieNeighbours } from "./zip-tie-neighbours";
import { zipTieParts } from "./zip-tie-parts";

const requestCancelled = -32800;
/** How soon a request that waits for native code notices that it was cancelled, in milliseconds. */
const cancellationInterval = 50;
/** Texts that are kept with their tokens. */
const keptTexts = 8;

/** The worker's side: tokenises texts once, and answers from the tokens. */
export function serveComparison(connection: MessageConnection): void {
  const slots = new Map<string, ComparedTextVersion>();

  const textOf = ({ slot, version, text }: TextReference): ComparedTextVersion | undefined => {
    let known = slots.get(slot);
    if (known?.version !== version) {
      if (text === undefined) return undefined;
      known?.drop();
      known = new ComparedTextVersion(version, text);
    }
    slots.delete(slot);
    slots.set(slot, known);
    for (const [oldest, dropped] of slots) {
      if (slots.size <= keptTexts) break;
      slots.delete(oldest);
      dropped.drop();
    }
    return known;
  };

  const answering = async <T>(
    reference: TextReference,
    token: CancellationToken,
    answer: (text: ComparedTextVersion) => Promise<T>,
  ): Promise<T | MissingText | { refused: string }> => {
    const text = textOf(reference);
    if (!text) return { missing: true };
    return refusing(() => unlessCancelled(token, answer(text)));
  };

  connection.onRequest(textTokensRequest, ({ reference, tokenizer, lines, spans, wait }, token) =>
    answering(reference, token, async (text) => {
      const window = wait || text.settled(tokenizer) ? undefined : text.around(lines);
      if (!window) return text.tokensOfLines(await text.tokenized(tokenizer), lines, spans);
      const { firstLine } = window;
      const tokenized = await window.text.tokenized(tokenizer);
      const inside = { first: lines.first - firstLine, last: lines.last - firstLine };
      const tokens = window.text.tokensOfLines(tokenized, inside, spans);
      return {
        ...tokens,
        count: null,
        spans: tokens.spans.map((value, member) => (isLine(member) ? value + firstLine : value)),
      };
    }),
  );

  connection.onRequest(tokensAtRequest, ({ reference, position, tokenizers }, token) =>
    answering(reference, token, async (text) => {
      const isSettled = tokenizers.every(({ path }) => text.settled(path));
      const window = isSettled ? undefined : text.around({ first: position.line, last: position.line });
      const near = window?.text ?? text;
      const firstLine = window?.firstLine ?? 0;
      const results = await tokenizedBy(near, tokenizers, false);
      const [shown] = results;
      if (shown && "refused" in shown) return { refused: shown.refused };
      const offset = near.lines.offsetAt({ ...position, line: position.line - firstLine });
      const zipTies = await Promise.all(tokenizers.map(({ path }) => zipTieParts(path)));
      const at = near.tokensAt(offset, results, zipTies);
      if (!at) return { refused: "No token stands here." };
      const [own] = at.tokenizers;
      for (const each of own && "tokens" in own ? own.tokens : []) {
        if (!each.zip_tie) continue;
        const neighbours = await zipTieNeighbours(tokenizers[0]?.path ?? "", each.token);
        if (neighbours.length > 0) each.neighbours = neighbours;
      }
      const { start, end } = at.range;
      const range = {
        start: { ...start, line: start.line + firstLine },
        end: { ...end, line: end.line + firstLine },
      };
      return { ...at, range };
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
    const controller = new AbortController();
    const watching = watch(token, () => controller.abort());
    return refusing(() =>
      comparedCorpus(params, controller.signal, (progress) => {
        void connection.sendNotification(corpusProgressNotification, { job: params.job, ...progress });
      }),
    ).finally(() => clearInterval(watching));
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
    if ((error as Error).name === "AbortError") throw new ResponseError(requestCancelled, "Cancelled.");
    throw error;
  }
}

/** The cancellation reaches a worker through shared memory, which has to be looked at. */
function watch(token: CancellationToken, onCancelled: () => void): NodeJS.Timeout {
  return setInterval(() => {
    if (token.isCancellationRequested) onCancelled();
  }, cancellationInterval);
}

async function unlessCancelled<T>(token: CancellationToken, work: Promise<T>): Promise<T> {
  let watching: NodeJS.Timeout | undefined;
  const cancelled = new Promise<never>((_, reject) => {
    watching = watch(token, () => reject(new ResponseError(requestCancelled, "Cancelled.")));
  });
  try {
    return await Promise.race([work, cancelled]);
  } finally {
    clearInterval(watching);
  }
}
