import type { TokenizerChoice, TokenizerFigures } from "../../../language-server/src/protocol";
import { el } from "../elements";
import { t } from "../messages";
import { palette } from "../palette";
import { formatCount, formatRatio, formatShare } from "./format";

export type FiguresRow = TokenizerChoice & ({ figures: TokenizerFigures } | { refused: string });

interface Figure {
  title: string;
  explanation: string;
  value(figures: TokenizerFigures): string;
}

const figures = (hasSpecial: boolean): Figure[] => [
  {
    title: t("efficiency"),
    explanation: t("Gold words per token; known for treebanks and tables with word counts"),
    value: ({ words, tokens }) => (words === null ? "–" : formatRatio(words, tokens)),
  },
  {
    title: t("characters/token"),
    explanation: t("Unicode characters per token"),
    value: ({ characters, tokens }) => formatRatio(characters, tokens),
  },
  {
    title: t("bytes/token"),
    explanation: t("UTF-8 bytes per token"),
    value: ({ bytes, tokens }) => formatRatio(bytes, tokens),
  },
  {
    title: t("byte fallback"),
    explanation: t("Share of tokens that hold less than a character"),
    value: ({ byte_tokens, tokens }) => formatShare(byte_tokens, tokens),
  },
  {
    title: t("unknown"),
    explanation: t("Share of tokens for characters that the vocabulary cannot express"),
    value: ({ unknown_tokens, tokens }) => formatShare(unknown_tokens, tokens),
  },
  ...(hasSpecial
    ? [
        {
          title: t("special"),
          explanation: t("Special tokens, part of the tokens"),
          value: ({ special_tokens }: TokenizerFigures) => formatCount(special_tokens),
        },
      ]
    : []),
];

/** The tokenizer's colour in bars and charts. */
export const colorOf = (index: number): string => {
  const { runs, foreground } = palette();
  return runs[index % runs.length] ?? foreground;
};

/** One line for each tokenizer; a bar says how its tokens compare with the most. */
export function figuresTable(caption: string, rows: readonly FiguresRow[]): HTMLElement {
  const columns = figures(rows.some((row) => "figures" in row && row.figures.special_tokens > 0));
  const most = Math.max(1, ...rows.map((row) => ("figures" in row ? row.figures.tokens : 0)));
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, t("tokenizer")),
    el("th", { scope: "col", class: "number tokens" }, t("tokens")),
    ...columns.map(({ title, explanation }) =>
      el("th", { scope: "col", class: "number", title: explanation }, ...breakable(title)),
    ),
  );
  const lines = rows.map((row, index) => {
    const name = el("th", { scope: "row", class: "name", title: row.path }, row.name);
    if ("refused" in row) {
      const refused = el("td", { class: "refused", colspan: String(columns.length + 1) }, row.refused);
      return el("tr", {}, name, refused);
    }
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * row.figures.tokens) / most}%`;
    bar.style.background = colorOf(index);
    return el(
      "tr",
      {},
      name,
      el(
        "td",
        { class: "number tokens" },
        formatCount(row.figures.tokens),
        el("span", { class: "track" }, bar),
      ),
      ...columns.map(({ value }) => el("td", { class: "number" }, value(row.figures))),
    );
  });
  return el(
    "div",
    { class: "table-scroll" },
    el(
      "table",
      { class: "figures" },
      el("caption", { class: "visually-hidden" }, caption),
      el("thead", {}, head),
      el("tbody", {}, ...lines),
    ),
  );
}

/** A heading that may be broken after its slash. */
const breakable = (title: string): (Node | string)[] =>
  title.split(/(?<=\/)/).flatMap((part, index) => (index === 0 ? [part] : [el("wbr"), part]));
