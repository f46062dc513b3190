import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { diskFiles } from "../../../language-server/src/configs/config-files";
import { runnableConfig } from "../../../language-server/src/rules/config-rules";
import { largestBatch, largestEvaluationBatch } from "../../../language-server/src/training/batch-shape";
import type { DataSummary } from "../../../language-server/src/training/data-summary";
import { loadInputs } from "../../../language-server/src/training/inputs";
import { summarisePlan } from "../../../language-server/src/training/plan-summary";

const example = resolve(__dirname, "../../../examples/traditional-chinese");

function rows(lengths: [number, number][], packs?: number): DataSummary {
  const count = lengths.reduce((sum, [, n]) => sum + n, 0);
  const tokens = lengths.reduce((sum, [length, n]) => sum + length * n, 0);
  return {
    path: "/rows.jsonl",
    weight: 1,
    rows: count,
    rows_used: count,
    packs: packs ?? count,
    conversations: 0,
    rows_cut: 0,
    tokens,
    supervised_tokens: tokens / 2,
    longest: Math.max(...lengths.map(([length]) => length)),
    lengths,
    dropped: [],
  };
}

const plenty = { memory: 1e15, threads: 2 };

async function plan(lines: string, { machine = plenty, data = rows([[64, 80]]) } = {}) {
  const model =
    "model: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, head_dim: 16, num_key_value_heads: 2, TIED }";
  const text = `stage: pretrain
${model.replace("TIED", lines.includes("tied") ? "tie_word_embeddings: true" : lines.includes("qwen2") ? "model_type: qwen2" : "seed: 1")}
tokenizer_name_or_path: tokenizer
dataset: data/corpus.jsonl
max_length: 64
${lines}
`;
  const runnable = runnableConfig(text, `${example}/test.ziptie.yaml`, diskFiles);
  if ("refused" in runnable) throw new Error(runnable.refused);
  return summarisePlan(
    runnable.plan,
    await loadInputs(runnable.plan),
    { train: [data], evaluation: [] },
    machine,
  );
}

const qlora = `use_peft: true
load_in_4bit: true
lora_r: 8
lora_target_modules: [q_proj, embed_tokens, lm_head]
learning_rate: 1e-4
`;

describe("what is trained", () => {
  test("with adapters at both ends, each tensor by PEFT's name with its shape and its rate", async () => {
    const { trainable, parameters, trainable_parameters } = await plan(
      `${qlora}embedding_learning_rate: 2e-5\n`,
    );
    expect(trainable).toEqual([
      { name: "base_model.model.model.embed_tokens.lora_embedding_A", shape: [8, 2048], learning_rate: 2e-5 },
      { name: "base_model.model.model.embed_tokens.lora_embedding_B", shape: [32, 8], learning_rate: 2e-5 },
      ...[0, 1].flatMap((layer) => [
        {
          name: `base_model.model.model.layers.${layer}.self_attn.q_proj.lora_A.weight`,
          shape: [8, 32],
          learning_rate: 1e-4,
        },
        {
          name: `base_model.model.model.layers.${layer}.self_attn.q_proj.lora_B.weight`,
          shape: [64, 8],
          learning_rate: 1e-4,
        },
      ]),
      { name: "base_model.model.lm_head.lora_A.weight", shape: [8, 32], learning_rate: 2e-5 },
      { name: "base_model.model.lm_head.lora_B.weight", shape: [2048, 8], learning_rate: 2e-5 },
    ]);
    const layer = 32 * (64 + 32 + 32) + 64 * 32 + 3 * 32 * 64 + 2 * 32;
    expect(parameters - trainable_parameters).toBe(2 * 2048 * 32 + 2 * layer + 32);
  });
  test("tied, one adapter serves both ends", async () => {
    const { trainable } = await plan(`# tied\n${qlora}`);
    expect(trainable.filter(({ name }) => /lm_head|embed/.test(name)).map(({ name }) => name)).toEqual([
      "base_model.model.model.embed_tokens.lora_embedding_A",
      "base_model.model.model.embed_tokens.lora_embedding_B",
    ]);
  });
  test("modules saved whole stand beside the adapter", async () => {
    const { trainable } = await plan(
      "use_peft: true\nlora_target_modules: [v_proj]\nlora_modules_to_save: [norm, lm_head]\n",
    );
    const whole = trainable.filter(({ name }) => !name.includes("lora_"));
    expect(whole.map(({ name }) => name)).toEqual([
      "base_model.model.model.layers.0.input_layernorm.weight",
      "base_model.model.model.layers.0.post_attention_layernorm.weight",
      "base_model.model.model.layers.1.input_layernorm.weight",
      "base_model.model.model.layers.1.post_attention_layernorm.weight",
      "base_model.model.model.norm.weight",
      "base_model.model.lm_head.weight",
    ]);
  });
  test("a Qwen2's biases are weights too", async () => {
    const { trainable } = await plan("# qwen2\n");
    const biases = trainable.filter(({ name }) => name.endsWith(".bias"));
    expect(biases.map(({ shape }) => shape)).toEqual([[64], [32], [32], [64], [32], [32]]);
  });
});

describe("steps", () => {
  test("count packs where rows are packed", async () => {
    const lines = "packing: true\nper_device_train_batch_size: 2\nnum_train_epochs: 1\n";
    const { steps, packs, rows: all } = await plan(lines, { data: rows([[16, 80]], 20) });
    expect({ steps, packs, all }).toEqual({ steps: 10, packs: 20, all: 80 });
  });
});

describe("gradient_checkpointing: auto", () => {
  const modeWith = async (memory: number) => (await plan("", { machine: { memory, threads: 2 } })).recompute;
  test("is the least that fits the machine, and all there is when nothing does", async () => {
    const bytes = async (mode: string) => (await plan(`gradient_checkpointing: ${mode}\n`)).memory_bytes;
    const [none, selective, full] = await Promise.all(["none", "selective", "full"].map(bytes));
    if (!none || !selective || !full) throw new Error("no estimate");
    expect(none).toBeGreaterThan(selective);
    expect(selective).toBeGreaterThan(full);
    expect(await modeWith(none / 0.7999)).toBe("none");
    expect(await modeWith(selective / 0.7999)).toBe("selective");
    expect(await modeWith(full / 0.7999)).toBe("full");
    expect(await modeWith(full / 2)).toBe("full");
  });
  test("a run that does not fit at all is warned of", async () => {
    const { warnings } = await plan("", { machine: { memory: 1e6, threads: 2 } });
    expect(warnings).toEqual([
      expect.stringMatching(/^This run needs about .* and this machine has 0\.0 GB\./),
    ]);
    expect((await plan("")).warnings).toEqual([]);
  });
});

describe("the largest micro-batch", () => {
  const rule = { size: 4, batches: 100, packing: false, group_by_length: false, max_length: 64 };
  test("of rows of one length is certain", () => {
    expect(largestBatch([rows([[64, 80]])], rule)).toEqual({ tokens: 256, supervised: 128, longest: 64 });
  });
  test("of mixed rows lies between the mean and the longest together", () => {
    const data = [
      rows([
        [10, 900],
        [60, 100],
      ]),
    ];
    const { tokens } = largestBatch(data, rule);
    expect(tokens).toBeGreaterThan(4 * 15);
    expect(tokens).toBeLessThan(4 * 60);
    expect(largestBatch(data, { ...rule, group_by_length: true }).tokens).toBe(240);
    expect(largestBatch(data, { ...rule, packing: true }).tokens).toBe(256);
  });
  test("of a few very long rows among many has one of them once so many batches are drawn, seldom two", () => {
    const data = [
      rows([
        [10, 999],
        [1000, 1],
      ]),
    ];
    expect(largestBatch(data, { ...rule, size: 1, batches: 1000 }).tokens).toBe(1000);
    expect(largestBatch(data, { ...rule, size: 1, batches: 10 }).tokens).toBe(10);
    expect(largestBatch(data, { ...rule, size: 4, batches: 1000 }).tokens).toBe(1030);
  });
  test("is the median of the largest of so many draws", () => {
    const lengths: [number, number][] = Array.from({ length: 200 }, (_, i) => [
      5 + Math.floor((i / 10) ** 2),
      1,
    ]);
    const { tokens } = largestBatch([rows(lengths)], { ...rule, batches: 50 });
    let state = 1;
    const drawn = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return lengths[Math.floor((state / 2 ** 32) * lengths.length)]?.[0] ?? 0;
    };
    const largest = Array.from({ length: 1001 }, () =>
      Math.max(...Array.from({ length: 50 }, () => drawn() + drawn() + drawn() + drawn())),
    ).sort((a, b) => a - b);
    expect(Math.abs(tokens / (largest[500] ?? 0) - 1)).toBeLessThan(0.01);
  });
  test("of an evaluation smaller than its batch is all of it, and has no packs", () => {
    const data = [
      rows([
        [10, 3],
        [60, 2],
      ]),
    ];
    expect(largestEvaluationBatch(data, 8)).toEqual({ tokens: 150, supervised: 75, longest: 60 });
  });
  test("never has more rows than there are", () => {
    expect(largestBatch([rows([[10, 2]])], rule).tokens).toBe(20);
  });
});
