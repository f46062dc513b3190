/** Reads the tokens of a tiktoken vocabulary, as strings of which every character is a byte. */
import { TokenizerError } from "../tokenizer-error";
import { parseJsonFile } from "../tokenizer-json";

export interface Ranks {
  readonly ranks: ReadonlyMap<string, number>;
  /** Special tokens, where the file lists them. */
  readonly special: Readonly<Record<string, number>> | undefined;
}

/** Whether a file begins as a rank file does: base64, a space, a number. */
export function looksLikeRanks(bytes: Uint8Array): boolean {
  return /^[A-Za-z\d+/]{2,}={0,2} \d+\r?\n/.test(Buffer.from(bytes.subarray(0, 4096)).toString("latin1"));
}

/**
 * @param text lines of a token in base64, a space and its rank
 * @throws TokenizerError `malformed`, naming the line
 */
export function readRanks(text: string, path: string): Ranks {
  const collector = new Collector(path);
  for (const [index, line] of text.split("\n").entries()) {
    const trimmed = line.trimEnd();
    if (trimmed === "") continue;
    const [token = "", rank = "", ...more] = trimmed.split(" ");
    if (!/^\d{1,9}$/.test(rank) || more.length > 0) {
      collector.malformed(`line ${index + 1} is no token in base64, a space and a rank`);
    }
    collector.add(token, Number(rank), `line ${index + 1}`);
  }
  return { ranks: collector.finish(), special: undefined };
}

/**
 * Reads a module of `js-tiktoken`, without running it: what it exports is JSON.
 *
 * @throws TokenizerError `malformed`
 */
export function readRankModule(text: string, path: string): Ranks {
  const collector = new Collector(path);
  const json = /^\s*(?:module\.exports\s*=|export\s+default)\s*(\{[\s\S]*\})\s*;?\s*$/.exec(text)?.[1];
  if (json === undefined) return collector.malformed("it does not export one object in JSON");
  const { bpe_ranks: lines, special_tokens: special } = parseJsonFile(json, path) as Record<string, unknown>;
  if (typeof lines !== "string") return collector.malformed("it has no `bpe_ranks`");
  for (const line of lines.split("\n")) {
    if (line === "") continue;
    const [, first = "", ...tokens] = line.split(" ");
    if (!/^\d{1,9}$/.test(first)) collector.malformed("a line of its `bpe_ranks` has no first rank");
    for (const [index, token] of tokens.entries()) {
      const rank = Number(first) + index;
      collector.add(token, rank, `rank ${rank}`);
    }
  }
  return { ranks: collector.finish(), special: readSpecial(special, collector) };
}

function readSpecial(value: unknown, collector: Collector): Record<string, number> {
  const entries = Object.entries(typeof value === "object" && value !== null ? value : {});
  if (entries.some(([token, id]) => token === "" || !Number.isInteger(id) || (id as number) < 0)) {
    collector.malformed("its `special_tokens` are no tokens and ids");
  }
  return Object.fromEntries(entries) as Record<string, number>;
}

class Collector {
  readonly #ranks = new Map<string, number>();
  readonly #seen = new Set<number>();
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  readonly malformed = (what: string): never => {
    throw new TokenizerError("malformed", this.#path, `${this.#path} is no vocabulary of tiktoken: ${what}.`);
  };

  add(base64: string, rank: number, where: string): void {
    const bytes = Buffer.from(base64, "base64");
    if (bytes.length === 0 || bytes.toString("base64") !== base64) this.malformed(`${where} is not base64`);
    const token = bytes.toString("latin1");
    if (this.#ranks.has(token)) this.malformed(`${where} has a token that has a rank already`);
    if (this.#seen.has(rank)) this.malformed(`the rank ${rank} is given twice`);
    this.#ranks.set(token, rank);
    this.#seen.add(rank);
  }

  finish(): ReadonlyMap<string, number> {
    for (let byte = 0; byte < 256; byte++) {
      if (!this.#ranks.has(String.fromCharCode(byte))) this.malformed(`the byte ${byte} has no rank`);
    }
    return this.#ranks;
  }
}
