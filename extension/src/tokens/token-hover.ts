import { l10n, MarkdownString } from "vscode";
import type { ComparedToken, TokensAt } from "../../../language-server/src/protocol";
import { code, escaped } from "../markdown";

/** The shown tokenizer's tokens with their ids and bytes, and below what the others make of the same characters. */
export function tokensHover({ tokenizers }: TokensAt, remark?: string): MarkdownString {
  const hover = new MarkdownString();
  const [shown, ...others] = tokenizers;
  if (shown !== undefined && "tokens" in shown) {
    hover.appendMarkdown(
      table(
        [escaped(shown.name), l10n.t("id"), l10n.t("bytes")],
        shown.tokens.map((token) => [code(token.token), String(token.id), token.bytes]),
      ),
    );
    for (const { token, zip_tie: parts, neighbours } of shown.tokens) {
      if (parts === undefined) continue;
      hover.appendMarkdown(
        table(
          [l10n.t("{0} begins as", code(token)), l10n.t("id"), l10n.t("weight")],
          parts.map((part) => [code(part.token), String(part.id), part.weight.toFixed(3)]),
        ),
      );
      if (neighbours === undefined) continue;
      hover.appendMarkdown(
        table(
          [l10n.t("is most like"), l10n.t("id"), l10n.t("cosine")],
          neighbours.map((each) => [code(each.token), String(each.id), each.cosine.toFixed(3)]),
        ),
      );
    }
    const kind = shown.tokens[0]?.kind;
    const said = [kind === undefined || kind === "text" ? [] : kindNames()[kind], remark ?? []].flat();
    if (said.length > 0) hover.appendMarkdown(`${escaped(said.join(" · "))}\n\n`);
  }
  if (others.length > 0) {
    const rows = others.map((each) => [
      escaped(each.name),
      "refused" in each ? escaped(each.refused) : each.tokens.map(inline).join(" · "),
      "refused" in each ? "" : String(each.tokens.length),
    ]);
    hover.appendMarkdown(table([l10n.t("tokenizer"), l10n.t("the same characters"), l10n.t("tokens")], rows));
  }
  return hover;
}

const kindNames = () => ({
  special: l10n.t("special token"),
  byte: l10n.t("less than a character: the tokenizer has no token for it"),
});

const inline = ({ token, id }: ComparedToken): string => `${code(token)} ${id}`;

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return `${line(heading)}${line(heading.map(() => "---"))}${rows.map(line).join("")}\n`;
}
