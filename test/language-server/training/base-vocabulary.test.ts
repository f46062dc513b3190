import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { diskFiles } from "../../../language-server/src/configs/config-files";
import { runnableConfig } from "../../../language-server/src/rules/config-rules";
import { enginePlanSchema } from "../../../language-server/src/training/engine-plan";
import { baseParameters, elements, type ModelShape } from "../../../language-server/src/training/parameters";
import { planTraining, prepareRun } from "../../../language-server/src/training/prepare";
import { safetensorsHeader } from "../../../language-server/src/training/safetensors-header";
import { EmbeddingRows } from "../../../language-server/src/training/vocabulary/embedding-rows";
import { temporaryDirectory } from "./fake-engine";

const example = resolve(__dirname, "../../../examples/traditional-chinese/tokenizer");
const engine = resolve(__dirname, "../../../dist/engine/ziptie-engine");

/** Of the example's tokenizer. */
const tokens = 2048;
const rows = tokens + 12;

const shape: ModelShape = {
  model_type: "llama",
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  head_dim: 4,
  vocab_size: rows,
  max_position_embeddings: 64,
  attention_bias: false,
  tie_word_embeddings: false,
};

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  writeModel();
  cpSync(example, join(directory, "model"), { recursive: true });
  writeFileSync(join(directory, "rows.jsonl"), '{"text": "月亮繞著地球轉"}\n');
  return () => rmSync(directory, { recursive: true, force: true });
});

/** `model`: an HF directory whose embedding has rows that no token uses. */
function writeModel(): void {
  const folder = join(directory, "model");
  mkdirSync(folder);
  const config = { ...shape, rms_norm_eps: 1e-6, rope_theta: 10000, hidden_act: "silu" };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const parameters = baseParameters(shape);
  const tensors = parameters.map((parameter) => ({ ...parameter, dtype: "F32" }));
  const values = Float32Array.from(
    { length: elements(parameters) },
    (_, i) => ((i * 37) % 101) / 1000 - 0.05,
  );
  writeFileSync(
    join(folder, "model.safetensors"),
    Buffer.concat([safetensorsHeader(tensors), Buffer.from(values.buffer)]),
  );
}

/** `extended`: the example's tokenizer with so many tokens more, and a map that begins each as the token 5. */
function writeExtended(added: number, change: (vocab: Record<string, number>) => void = () => {}): void {
  const folder = join(directory, "extended");
  cpSync(example, folder, { recursive: true });
  const file = join(folder, "tokenizer.json");
  const tokenizer = JSON.parse(readFileSync(file, "utf8"));
  const map: Record<string, [number, number][]> = {};
  for (let id = tokens; id < tokens + added; id++) {
    tokenizer.model.vocab[String.fromCodePoint(0x3400 + id)] = id;
    map[id] = [[5, 1]];
  }
  change(tokenizer.model.vocab);
  writeFileSync(file, JSON.stringify(tokenizer));
  writeFileSync(join(folder, "zip-tie.json"), JSON.stringify(map));
}

const hooks = { report: () => {}, signal: new AbortController().signal };

async function prepare(keys: Record<string, unknown> = {}) {
  const path = join(directory, "grown.ziptie.yaml");
  const text = JSON.stringify({
    stage: "pretrain",
    model_name_or_path: "model",
    tokenizer_name_or_path: "extended",
    embedding_init: "zip-tie",
    dataset: "rows.jsonl",
    max_length: 64,
    max_steps: 1,
    use_peft: true,
    ...keys,
  });
  writeFileSync(path, text);
  const runnable = runnableConfig(text, path, diskFiles);
  if ("refused" in runnable) throw new Error(runnable.refused);
  const summary = await planTraining(runnable.plan, hooks);
  const { run } = await prepareRun(runnable.plan, text, hooks);
  const { model } = enginePlanSchema.parse(JSON.parse(readFileSync(join(run, "plan.json"), "utf8")));
  if (!("path" in model)) throw new Error("the model is not a directory's");
  return { run, summary, vocabulary: model.vocabulary };
}

describe("a model with more rows than its tokenizer has tokens", () => {
  for (const [what, added, afterwards] of [
    ["fit its unused rows", 5, rows],
    ["fill its unused rows", 12, rows],
    ["are more than its unused rows", 20, tokens + 20],
  ] as const) {
    test(`new tokens that ${what} begin with the first of those`, async () => {
      writeExtended(added);
      const { run, summary, vocabulary } = await prepare();
      expect(vocabulary).toMatchObject({
        size: tokens + added,
        base_size: tokens,
        map: join(directory, "extended", "zip-tie.json"),
      });
      const grown = elements(baseParameters({ ...shape, vocab_size: afterwards }));
      expect(summary.parameters - summary.trainable_parameters).toBe(grown);
      if (!existsSync(engine)) return;

      const { status, stderr } = spawnSync(engine, ["train", join(run, "plan.json")], { encoding: "utf8" });
      expect(status, stderr).toBe(0);
      const [before, after] = await Promise.all(
        [join(directory, "model"), join(run, "base")].map((model) =>
          EmbeddingRows.open([join(model, "model.safetensors")]),
        ),
      );
      if (!before || !after) throw new Error("no embeddings");
      try {
        expect(after.rows).toBe(afterwards);
        expect(await after.read(0, tokens)).toEqual(await before.read(0, tokens));
        const five = await before.read(5, 1);
        for (let id = tokens; id < tokens + added; id++) expect(await after.read(id, 1)).toEqual(five);
        const unused = rows - tokens - added;
        if (unused > 0)
          expect(await after.read(tokens + added, unused)).toEqual(await before.read(tokens + added, unused));
      } finally {
        await Promise.all([before.close(), after.close()]);
      }
    });
  }

  test("new tokens without embedding_init are left the rows that are there", async () => {
    writeExtended(5);
    expect((await prepare({ embedding_init: undefined })).vocabulary).toBeNull();
  });

  describe("where its tokenizer is not there, or not the one that was extended", () => {
    const unlike = [
      ["not there", () => rmSync(join(directory, "model", "tokenizer.json")), () => {}],
      ["another", () => {}, swap],
    ] as const;
    test.each(unlike)("only missing rows are new (%s)", async (_, change, changeVocabulary) => {
      change();
      writeExtended(20, changeVocabulary);
      const { vocabulary } = await prepare({ embedding_init: "mean" });
      expect(vocabulary).toMatchObject({ size: tokens + 20, base_size: null });
    });
    test("embedding_init is refused where none is missing", async () => {
      writeExtended(5, swap);
      await expect(prepare()).rejects.toThrow(
        /embedding_init would be ignored: the model .* has a row for each/,
      );
    });
  });
});

/** Two tokens change places. */
function swap(vocab: Record<string, number>): void {
  [vocab.ws, vocab.xy] = [vocab.xy as number, vocab.ws as number];
}
