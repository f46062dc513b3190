/** A comparison as a table for spreadsheets: RFC 4180, one line per tokenizer. */
import type { CorpusResult } from "./corpus-comparison";
import { efficiencyOf, type Figures, perToken } from "./figures";

const columns: readonly [string, (figures: Figures) => number | undefined][] = [
  ["words", ({ words }) => words],
  ["characters", ({ characters }) => characters],
  ["bytes", ({ bytes }) => bytes],
  ["tokens", ({ tokens }) => tokens],
  ["efficiency", efficiencyOf],
  ["characters_per_token", (figures) => perToken(figures.characters, figures)],
  ["bytes_per_token", (figures) => perToken(figures.bytes, figures)],
  ["byte_fallback_rate", (figures) => perToken(figures.byteTokens, figures)],
  ["unk_rate", (figures) => perToken(figures.unknownTokens, figures)],
];

export function comparisonCsv(results: readonly Pick<CorpusResult, "tokenizer" | "figures">[]): string {
  const lines = results.map(({ tokenizer, figures }) => [
    quoted(tokenizer),
    ...columns.map(([, value]) => value(figures) ?? ""),
  ]);
  return [["tokenizer", ...columns.map(([name]) => name)], ...lines]
    .map((cells) => `${cells.join(",")}\r\n`)
    .join("");
}

/** The characters that a tokenizer covers worst, one line each. */
export function coverageCsv(results: readonly CorpusResult[]): string {
  const lines = results.flatMap(({ tokenizer, worstCharacters }) =>
    worstCharacters.map(({ character, count, tokensPerCharacter, unknown }) => [
      quoted(tokenizer),
      quoted(character),
      `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`,
      count,
      tokensPerCharacter,
      unknown,
    ]),
  );
  const heading = ["tokenizer", "character", "code_point", "count", "tokens_per_character", "unknown"];
  return [heading, ...lines].map((cells) => `${cells.join(",")}\r\n`).join("");
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
