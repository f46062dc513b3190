/** How a run is asked follows from what it was trained on, and from what its directory keeps. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { diskFiles } from "../../../../language-server/src/configs/config-files";
import { runnableConfig } from "../../../../language-server/src/rules/config-rules";
import { answeringModel } from "../../../../language-server/src/training/generation/answering-model";
import { prepareRun } from "../../../../language-server/src/training/prepare";
import { temporaryDirectory } from "../fake-engine";

const example = resolve(__dirname, "../../../../examples/traditional-chinese");
const { signal } = new AbortController();

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  cpSync(join(example, "tokenizer"), join(directory, "tokenizer"), { recursive: true });
  return () => rmSync(directory, { recursive: true, force: true });
});

/** A run as it is after its first checkpoint. */
async function runOf(...rows: object[]): Promise<string> {
  writeFileSync(join(directory, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const text = JSON.stringify({
    stage: "sft",
    model: {
      model_type: "llama",
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      max_position_embeddings: 64,
    },
    tokenizer_name_or_path: "tokenizer",
    chat_template_path: "bailong",
    dataset: "rows.jsonl",
    max_length: 64,
  });
  const runnable = runnableConfig(text, join(directory, "sft.ziptie.yaml"), diskFiles);
  if ("refused" in runnable) throw new Error(runnable.refused);
  const { run } = await prepareRun(runnable.plan, text, { report: () => {}, signal });
  mkdirSync(join(run, "checkpoints/step-1"), { recursive: true });
  writeFileSync(join(run, "checkpoints/step-1/state.json"), "{}");
  return run;
}

const textIs = async (run: string) => (await answeringModel(run, { byTemplate: true, signal })).textIs;
const turn = (role: string, content: string) => ({ role, content });
const spoken = { prompt: [turn("user", "一")], completion: [turn("assistant", "二")] };
const written = { prompt: "一", completion: "二" };

describe("a text put to a run", () => {
  test.each([
    ["prompts and completions that are turns", [spoken, spoken], "turn"],
    ["prompts and completions that are texts", [written, written], "beginning"],
    ["both", [written, written, spoken], "turn"],
    ["messages", [{ messages: [...spoken.prompt, ...spoken.completion] }], "turn"],
  ])("of %s", async (_, rows, expected) => {
    const run = await runOf(...rows);
    // Whatever is there now.
    writeFileSync(join(directory, "rows.jsonl"), "");
    expect(await textIs(run)).toBe(expected);
  });

  test.each([
    ["turns", spoken, "turn"],
    ["texts", written, "beginning"],
  ])("that has no record of its rows goes by the rows that are there: %s", async (_, row, expected) => {
    const run = await runOf(row);
    const sources = join(run, "sources.json");
    const known: { conversations?: number }[] = JSON.parse(readFileSync(sources, "utf8"));
    writeFileSync(sources, JSON.stringify(known.map(({ conversations, ...source }) => source)));
    expect(await textIs(run)).toBe(expected);
  });
});

describe("a run's chat template", () => {
  test("that is broken does not matter where none is wanted", async () => {
    const run = await runOf(spoken);
    writeFileSync(join(run, "chat_template.jinja"), "{% if %}");
    await expect(answeringModel(run, { byTemplate: true, signal })).rejects.toThrow(/is not valid/);
    expect(await answeringModel(run, { byTemplate: false, signal })).toMatchObject({
      template: null,
      textIs: "beginning",
    });
  });
});

test("a directory that looks like a checkpoint and is not whole is refused", async () => {
  const run = await runOf(spoken);
  const asked = answeringModel(join(run, "checkpoints/step-2"), { byTemplate: true, signal });
  await expect(asked).rejects.toThrow("sft-1 has no whole checkpoint of step 2.");
});
