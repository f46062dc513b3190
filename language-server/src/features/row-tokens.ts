import { basename } from "node:path";
import type { CancellationToken, Position } from "vscode-languageserver";
import {
  type Refusal,
  type RowTokens,
  type RowTokensAtParams,
  rowTokensAtRequest,
  rowTokensRequest,
} from "../protocol";
import * as analysis from "./analysis-protocol";
import { NoAnalysis } from "./analysis-worker";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";

/** Answers `ziptie/rowTokens` and `ziptie/rowTokensAt`. */
export function register(context: ServerContext): void {
  context.connection.onRequest(
    rowTokensRequest.method,
    ({ uri, position }: { uri: string; position: Position }, token: CancellationToken) =>
      tokensOfRow(context, uri, position, token),
  );
  context.connection.onRequest(
    rowTokensAtRequest.method,
    async ({ uri, range, tokenizers }: RowTokensAtParams, token: CancellationToken) => {
      await context.ready;
      const path = pathOfUri(uri);
      const setup = path === null ? { refused: "The file is not on a disk." } : context.configs.setup(path);
      if ("refused" in setup) return setup;
      const own = { name: basename(setup.tokenizer), path: setup.tokenizer };
      const others = tokenizers.filter((tokenizer) => tokenizer.path !== setup.tokenizer);
      const name = tokenizers.find((tokenizer) => tokenizer.path === setup.tokenizer)?.name ?? own.name;
      return refusing(() =>
        context.worker.request(
          analysis.rowTokensAtRequest,
          { uri, range, setup, tokenizers: [{ ...own, name }, ...others] },
          { token },
        ),
      );
    },
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
  return refusing(() =>
    worker.request(analysis.rowTokensRequest, { uri, position, setup }, token ? { token } : {}),
  );
}

/** What the worker has no answer for is refused, in its words. */
export async function refusing<Answer>(ask: () => Promise<Answer>): Promise<Answer | Refusal> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof NoAnalysis) return { refused: error.message };
    throw error;
  }
}
