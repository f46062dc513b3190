import type { Range, RowToken } from "../../../language-server/src/protocol";

/** Tokens that stand on the same characters, e.g. the three bytes of one Chinese character. */
export interface TokenGroup {
  range: Range;
  tokens: RowToken[];
}

const samePlace = (a: Range, b: Range): boolean =>
  a.start.line === b.start.line &&
  a.start.character === b.start.character &&
  a.end.line === b.end.line &&
  a.end.character === b.end.character;

/** Groups a row's tokens, in reading order, by the characters they stand on. Tokens without characters are left out. */
export function groupTokens(tokens: readonly RowToken[]): TokenGroup[] {
  const groups: TokenGroup[] = [];
  for (const token of tokens) {
    const { start, end } = token.range;
    if (start.line === end.line && start.character === end.character) continue;
    const last = groups.at(-1);
    if (last !== undefined && samePlace(last.range, token.range)) last.tokens.push(token);
    else groups.push({ range: token.range, tokens: [token] });
  }
  return groups;
}
