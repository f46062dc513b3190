import type { LoadedTokenizer } from "../tokenizers/tokenizer";
import { columns } from "./text-columns";
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
  const supervised = result.supervised === undefined ? "" : ` · ${result.supervised} with loss`;
  const count = `${result.count} token${result.count === 1 ? "" : "s"}`;
  return `${result.tokenizer}: ${count}${supervised}\n${columns([HEADINGS, ...rows], (column) => column < 4)}\n`;
}

const VISIBLE: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\t": "→", "\r": "␍" };

function visible(text: string): string {
  return text.replace(/[\p{C}\p{Z}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return VISIBLE[character] ?? `\\u{${code.toString(16)}}`;
  });
}
