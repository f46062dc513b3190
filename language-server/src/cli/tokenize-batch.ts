import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { EncodeOptions } from "../tokenizers/encoder";
import { loadNamed, type NamedTokenizer } from "../tokenizers/named-tokenizers";

/** A line of the input that is no text, by its number from 1. */
export class BatchLineError extends Error {
  override readonly name = "BatchLineError";
}

const linesAtOnce = 256;

/**
 * Tokenises every line of a file, each a text as a JSON string, and prints one JSON object for each:
 * `{"results":[{"tokenizer","ids":[…],"spans":[start,end,…]}]}`.
 *
 * @param path `-` for standard input
 * @throws BatchLineError; TokenizerError; what `node:fs` throws
 */
export async function tokenizeBatch(
  path: string,
  tokenizers: readonly string[],
  options: EncodeOptions,
): Promise<void> {
  const named = await loadNamed(tokenizers);
  const input = path === "-" ? process.stdin : createReadStream(path);
  const failed = new Promise<never>((_, reject) => input.once("error", reject));
  // Whoever reads the lines is told; nobody else listens.
  failed.catch(() => {});
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  let texts: string[] = [];
  for (let number = 1; ; number++) {
    const { value, done } = await Promise.race([lines.next(), failed]);
    if (!done && value !== "") texts.push(textOf(value, number));
    if (texts.length > 0 && (done || texts.length === linesAtOnce)) {
      await print(texts, named, options);
      texts = [];
    }
    if (done) return;
  }
}

function textOf(line: string, number: number): string {
  try {
    const text: unknown = JSON.parse(line);
    if (typeof text === "string") return text;
  } catch {
    // Said below.
  }
  throw new BatchLineError(`line ${number} is not a JSON string.`);
}

async function print(
  texts: readonly string[],
  tokenizers: readonly NamedTokenizer[],
  options: EncodeOptions,
): Promise<void> {
  const results = await Promise.all(
    tokenizers.map(async ({ name, tokenizer }) => ({
      name,
      encoded: await tokenizer.encodeBatch(texts, options),
    })),
  );
  const lines = texts.map((_, index) => {
    const line = results.map(({ name, encoded }) => ({
      tokenizer: name,
      ids: Array.from(encoded[index]?.ids ?? []),
      spans: Array.from(encoded[index]?.spans ?? []),
    }));
    return `${JSON.stringify({ results: line })}\n`;
  });
  if (!process.stdout.write(lines.join(""))) {
    await new Promise((drained) => process.stdout.once("drain", drained));
  }
}
