import { NotificationType, RequestType } from "vscode-languageserver";
import type {
  CompareCorpusParams,
  ComparedCorpus,
  ComparedText,
  CompareTextParams,
  CorpusProgress,
  TextTokens,
  TextTokensParams,
  TokensAt,
  TokensAtParams,
} from "../../protocol";

/** What the server's thread and the worker thread say to each other about texts under several tokenizers. */

/**
 * A text in the worker. It keeps the newest version of each slot; `text` is left out until it says that it lacks it, so
 * that a big document crosses over once.
 */
export interface TextReference {
  slot: string;
  version: string;
  text?: string;
}
/** The worker lacks the text: send it along. */
export interface MissingText {
  missing: true;
}
type Refused = { refused: string };
type About<Params> = Omit<Params, "source"> & { reference: TextReference };

export const textTokensRequest = new RequestType<
  About<TextTokensParams>,
  TextTokens | MissingText | Refused,
  void
>("textTokens");

export const tokensAtRequest = new RequestType<About<TokensAtParams>, TokensAt | MissingText | Refused, void>(
  "tokensAt",
);

export const compareTextRequest = new RequestType<
  About<CompareTextParams>,
  ComparedText | MissingText | Refused,
  void
>("compareText");

export const compareCorpusRequest = new RequestType<CompareCorpusParams, ComparedCorpus | Refused, void>(
  "compareCorpus",
);

export const corpusProgressNotification = new NotificationType<CorpusProgress>("corpusProgress");
