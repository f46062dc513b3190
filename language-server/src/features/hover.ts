import { basename, dirname, relative } from "node:path";
import type { Hover } from "vscode-languageserver";
import type { RowTokens } from "../protocol";
import { configLanguageService } from "./config-language-service";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";
import { tokensOfRow } from "./row-tokens";

/** A config's key with its default and where its name comes from; a dataset's row with what training makes of it. */
export function register(context: ServerContext): void {
  context.connection.onHover(async ({ textDocument, position }, token): Promise<Hover | null> => {
    const document = context.documents.get(textDocument.uri);
    if (!document) return null;
    const kind = kindOf(document);
    if (kind === "training-config") return (await configLanguageService()).hover(document, position);
    if (kind !== "dataset") return null;
    const row = await tokensOfRow(context, document.uri, position, token);
    if ("refused" in row) return null;
    const path = pathOfUri(document.uri) ?? "";
    const setup = context.configs.setup(path);
    const config = "refused" in setup ? null : setup.config;
    return { contents: { kind: "markdown", value: rowSummary(row, config, dirname(path)) } };
  });
}

const grouped = (value: number) => value.toLocaleString("en");

function rowSummary(row: RowTokens, config: string | null, folder: string): string {
  const share = row.count > 0 ? Math.round((100 * row.supervised) / row.count) : 0;
  const lines = [`**${grouped(row.count)} tokens**, ${grouped(row.supervised)} of them trained (${share} %)`];
  if (row.cut) {
    lines.push(
      `Longer than \`max_length: ${row.cut.max_length}\`: loses ${grouped(row.cut.supervised_lost)} trained tokens.`,
    );
  }
  const place = (path: string) => (path.startsWith("/") ? relative(folder, path) || basename(path) : path);
  const made = [`tokenizer \`${place(row.tokenizer)}\``];
  if (row.template) made.push(`template \`${place(row.template)}\``);
  made.push(config ? `config \`${place(config)}\`` : "setting `ziptie.tokenizer`");
  lines.push(made.join(" · "));
  return lines.join("\n\n");
}
