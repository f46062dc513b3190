import type { LoadedTokenizer } from "../tokenizers/tokenizer";
import type { TokenizeResult } from "./tokenize";

const HEADINGS = ["", "id", "start", "end", "token", "characters", ""];

/** A tokenizer's tokens as aligned columns, with whitespace made visible and a mark where a token carries loss. */
export function tokenTable(result: TokenizeResult, plainText: string, tokenizer: LoadedTokenizer): string {
  const text = result.text ?? plainText;
  const rows = result.tokens.map(({ id, text: token, start, end, loss }, index) => {
    const kind = tokenizer.kind(id);
    const notes = [...(loss ? ["loss"] : []), ...(kind === "text" ? [] : [kind])];
    const cells = [index, id, start, end].map(String);
    return [...cells, visible(token), visible(text.slice(start, end)), notes.join(", ")];
  });
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.slice(0, 1000).map((row) => displayWidth(row[column] ?? ""))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const padding = " ".repeat(Math.max(0, (widths[column] ?? 0) - displayWidth(cell)));
        return column < 4 ? padding + cell : cell + padding;
      })
      .join("  ")
      .trimEnd();
  const supervised = result.supervised === undefined ? "" : ` · ${result.supervised} with loss`;
  const count = `${result.count} token${result.count === 1 ? "" : "s"}`;
  return `${result.tokenizer}: ${count}${supervised}\n${[HEADINGS, ...rows].map(line).join("\n")}\n`;
}

const VISIBLE: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\t": "→", "\r": "␍" };

function visible(text: string): string {
  return text.replace(/[\p{C}\p{Z}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return VISIBLE[character] ?? `\\u{${code.toString(16)}}`;
  });
}

/** Columns a terminal takes: none for combining marks, two for wide East Asian characters and emoji. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}
