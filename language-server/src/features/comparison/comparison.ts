import { createHash } from "node:crypto";
import {
  type CancellationToken,
  LSPErrorCodes,
  type MessageConnection,
  type RequestType,
  ResponseError,
} from "vscode-languageserver";
import {
  type CompareCorpusParams,
  compareCorpusRequest,
  compareTextRequest,
  corpusProgressNotification,
  type Position,
  type RequestName,
  type TextSource,
  type TextTokens,
  type TokensAt,
  textTokensRequest,
  tokensAtRequest,
} from "../../protocol";
import { AnalysisCancelled, NoAnalysis } from "../analysis-worker";
import type { ServerContext } from "../context";
import * as worker from "./comparison-protocol";
import { isLine } from "./span-members";

/** A corpus is read while texts are asked for; both wait for native code most of the time. */
export const requestsAtOnce = 4;
/** Milliseconds: megabytes under a slow tokenizer, and a corpus of any size, which can be cancelled. */
const textLimit = 10 * 60_000;
const corpusLimit = 24 * 60 * 60_000;

/** A text of the editor's. */
interface MeantText {
  /** Of which the worker keeps one text at a time: a document's, its selection's. */
  slot: string;
  version: string;
  text: () => string;
  /** Where it begins in its document. */
  origin: Position;
}

/** Texts and corpora under several tokenizers. */
export function register({ connection, documents, comparisonWorker }: ServerContext): void {
  comparisonWorker.onStart((thread: MessageConnection) => {
    thread.onNotification(worker.corpusProgressNotification, (progress) => {
      void connection.sendNotification(corpusProgressNotification.method, progress);
    });
  });

  /** The text that is meant; null when it has been edited since. */
  const textOf = (source: TextSource): MeantText | null => {
    if ("text" in source) {
      const { uri, text } = source;
      return { slot: `${uri} text`, version: digestOf(text), text: () => text, origin: start };
    }
    const document = documents.get(source.uri);
    if (document?.version !== source.version) return null;
    const { uri, version, range } = source;
    return {
      slot: range ? `${uri} selection` : uri,
      version: range ? `${version} ${JSON.stringify(range)}` : String(version),
      text: () => document.getText(range),
      origin: range?.start ?? start,
    };
  };

  /** Asks the worker without the text first, which it has but for the first time. */
  const ask = async <Params extends { reference: worker.TextReference }, Answer extends object>(
    type: RequestType<Params, Answer | worker.MissingText | { refused: string }, void>,
    { slot, version, text }: MeantText,
    params: Omit<Params, "reference">,
    token: CancellationToken,
  ): Promise<Answer | { refused: string }> => {
    const known = { slot, version };
    for (const reference of [() => known, () => ({ ...known, text: text() })]) {
      // The reference is the one member that was taken off.
      const whole = { ...params, reference: reference() } as Params;
      const answer = await comparisonWorker.request(type, whole, { token, limit: textLimit });
      if (!("missing" in answer)) return answer;
    }
    return { refused: "The text could not be handed over." };
  };

  handle(textTokensRequest, async ({ source, lines, ...params }, token) => {
    const text = textOf(source);
    if (!text) return changed;
    const { origin } = text;
    const relative = { first: lines.first - origin.line, last: lines.last - origin.line };
    const answer = await ask(worker.textTokensRequest, text, { ...params, lines: relative }, token);
    return "refused" in answer ? answer : shiftedTokens(answer, origin);
  });

  handle(tokensAtRequest, async ({ source, position, tokenizers }, token) => {
    const text = textOf(source);
    if (!text) return changed;
    const { origin } = text;
    const relative = {
      line: position.line - origin.line,
      character: position.line === origin.line ? position.character - origin.character : position.character,
    };
    const answer = await ask(worker.tokensAtRequest, text, { position: relative, tokenizers }, token);
    return "refused" in answer ? answer : shiftedRange(answer, origin);
  });

  handle(compareTextRequest, async ({ source, ...params }, token) => {
    const text = textOf(source);
    return text ? ask(worker.compareTextRequest, text, params, token) : changed;
  });

  handle(compareCorpusRequest, (params: CompareCorpusParams, token) =>
    comparisonWorker.request(worker.compareCorpusRequest, params, { token, limit: corpusLimit }),
  );

  /** What the worker has no answer for is refused; a cancelled request is told as LSP says. */
  function handle<Params, Result>(
    { method }: RequestName<Params, Result | { refused: string }>,
    answer: (params: Params, token: CancellationToken) => Promise<Result | { refused: string }>,
  ): void {
    connection.onRequest(method, async (params: Params, token: CancellationToken) => {
      try {
        return await answer(params, token);
      } catch (error) {
        if (error instanceof AnalysisCancelled || token.isCancellationRequested) {
          return new ResponseError(LSPErrorCodes.RequestCancelled, "Cancelled.");
        }
        if (error instanceof NoAnalysis) return { refused: error.message };
        throw error;
      }
    });
  }
}

const start: Position = { line: 0, character: 0 };
const changed = { refused: "The text has changed in the meantime." };

const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** From positions of a range that is a text of its own to those of the document. */
function shiftedTokens(tokens: TextTokens, { line, character }: Position): TextTokens {
  if (line === 0 && character === 0) return tokens;
  const spans = tokens.spans.map((value, index) => {
    if (isLine(index)) return value + line;
    const isCharacter = isLine(index - 1);
    return isCharacter && tokens.spans[index - 1] === 0 ? value + character : value;
  });
  return { ...tokens, spans };
}

function shiftedRange(answer: TokensAt, origin: Position): TokensAt {
  const shift = ({ line, character }: Position): Position => ({
    line: line + origin.line,
    character: line === 0 ? character + origin.character : character,
  });
  return { ...answer, range: { start: shift(answer.range.start), end: shift(answer.range.end) } };
}
