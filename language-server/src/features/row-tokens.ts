import type { CancellationToken, Position } from "vscode-languageserver";
import { type Refusal, type RowTokens, rowTokensRequest } from "../protocol";
import * as analysis from "./analysis-protocol";
import { NoAnalysis } from "./analysis-worker";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";

/** Answers `ziptie/rowTokens`. */
export function register(context: ServerContext): void {
  context.connection.onRequest(
    rowTokensRequest.method,
    ({ uri, position }: { uri: string; position: Position }, token: CancellationToken) =>
      tokensOfRow(context, uri, position, token),
  );
}

/** The row at a position as training would see it, or why that cannot be shown. */
export async function tokensOfRow(
  { documents, configs, worker, ready }: ServerContext,
  uri: string,
  position: Position,
  token?: CancellationToken,
): Promise<RowTokens | Refusal> {
  await ready;
  const document = documents.get(uri);
  const path = pathOfUri(uri);
  if (!document || path === null || kindOf(document) !== "dataset") {
    return { refused: "Tokens are shown for the rows of a dataset: a `.jsonl` or `.json` file." };
  }
  const setup = configs.setup(path);
  if ("refused" in setup) return setup;
  try {
    return await worker.request(analysis.rowTokensRequest, { uri, position, setup }, token ? { token } : {});
  } catch (error) {
    if (error instanceof NoAnalysis) return { refused: error.message };
    throw error;
  }
}
