import { type InlayHint, InlayHintRefreshRequest } from "vscode-languageserver";
import { isConfigPath } from "../configs/sources";
import { comparedTokenizersNotification, type TokenizerChoice } from "../protocol";
import { type RowCounts, rowCountsRequest } from "./analysis-protocol";
import { NoAnalysis } from "./analysis-worker";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";

/**
 * After each dataset row on the screen: its tokens, how many of them are trained, and how many other tokenizers would
 * make of it.
 */
export function register(context: ServerContext): void {
  const { connection, documents, configs, worker, ready } = context;
  let compared: readonly TokenizerChoice[] = [];
  let refresh = () => {};
  connection.onNotification(
    comparedTokenizersNotification.method,
    ({ tokenizers }: { tokenizers: TokenizerChoice[] }) => {
      compared = tokenizers;
      refresh();
    },
  );

  connection.languages.inlayHint.on(async ({ textDocument, range }, token): Promise<InlayHint[]> => {
    await ready;
    const document = documents.get(textDocument.uri);
    const path = pathOfUri(textDocument.uri);
    if (!document || path === null || kindOf(document) !== "dataset") return [];
    const setup = configs.setup(path);
    if ("refused" in setup) return [];
    try {
      const others = compared.filter((tokenizer) => tokenizer.path !== setup.tokenizer);
      const params = { uri: document.uri, range, setup, others };
      const counts = await worker.request(rowCountsRequest, params, { token });
      return "refused" in counts ? [] : counts.map(rowHint);
    } catch (error) {
      if (error instanceof NoAnalysis) return [];
      throw error;
    }
  });

  context.onInitialized(({ workspace }) => {
    if (!workspace?.inlayHint?.refreshSupport) return;
    refresh = () => void connection.sendRequest(InlayHintRefreshRequest.type).catch(() => {});
    context.onDidChangeSettings(refresh);
    // What a config says decides what its datasets' hints say.
    documents.onDidSave(({ document }) => {
      if (isConfigPath(document.uri)) refresh();
    });
  });
}

const grouped = (value: number) => value.toLocaleString("en");

export function rowLabel(counts: RowCounts): string {
  const others = counts.others.map(({ name, count }) => ` · ${name} ${grouped(count)}`);
  return ownLabel(counts) + others.join("");
}

function ownLabel({ count, supervised, dropped, cut }: RowCounts): string {
  if (cut && dropped) return `${grouped(count)} tokens · dropped: over ${grouped(cut.max_length)}`;
  if (cut) return `cut at ${grouped(cut.max_length)}: loses ${grouped(cut.supervised_lost)} trained`;
  return `${grouped(count)} tokens · ${grouped(supervised)} trained`;
}

function rowHint(counts: RowCounts): InlayHint {
  return { position: counts.end, label: rowLabel(counts), paddingLeft: true };
}
