import { describe, expect, test } from "vitest";
import { readConfig } from "../../../language-server/src/configs/read-config";
import { resolveTrainingPlan } from "../../../language-server/src/configs/resolve-plan";
import {
  intervalInSteps,
  type TrainingPlan,
  warmupInSteps,
} from "../../../language-server/src/configs/training-plan";
import { filesOf, project } from "./check";

function plan(lines: string, files = project): TrainingPlan {
  const { plan, findings } = resolveTrainingPlan(readConfig(lines, "/p/a.ziptie.yaml"), files);
  if (!plan) throw new Error(findings.map(({ message }) => message).join("\n"));
  return plan;
}

const pretrain = "stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n";

test("every default is resolved and every path absolute", () => {
  expect(plan(pretrain)).toEqual({
    config: "/p/a.ziptie.yaml",
    name: "a",
    stage: "pretrain",
    model: { kind: "directory", path: "/p/base" },
    vocabulary: null,
    tokenizer: { path: "/p/base" },
    chat_template: null,
    dataset: [{ path: "/p/rows.jsonl", format: null, weight: 1, sample: null }],
    evaluation: null,
    max_length: 1024,
    truncation: "cut",
    packing: false,
    group_by_length: false,
    adapter: null,
    quantization: null,
    frozen_dtype: "float32",
    recompute: "auto",
    optimizer: {
      name: "adamw_torch",
      learning_rate: 2e-5,
      embedding_learning_rate: null,
      betas: [0.9, 0.999],
      epsilon: 1e-8,
      weight_decay: 0,
      max_grad_norm: 1,
    },
    schedule: { name: "linear", warmup: { steps: 0 }, min_lr_rate: 0 },
    duration: { epochs: 3 },
    per_device_train_batch_size: 8,
    gradient_accumulation_steps: 1,
    checkpointing: { interval: { steps: 500 }, save_total_limit: null },
    logging_steps: 1,
    device: "auto",
    threads: null,
    seed: 42,
    output_dir: "/p/runs",
  });
});

describe("datasets", () => {
  const written = [
    ["a path", "chat.jsonl"],
    ["an entry", "{ path: chat.jsonl }"],
    ["a list of paths", "[chat.jsonl]"],
    ["a list of entries", "\n  - path: chat.jsonl"],
  ] as const;
  test.each(written)("as %s", (_, value) => {
    const config = `stage: sft\nmodel_name_or_path: base\nchat_template_path: bailong\ndataset: ${value}\n`;
    expect(plan(config).dataset).toEqual([{ path: "/p/chat.jsonl", format: null, weight: 1, sample: null }]);
  });
  test("with format, weight and sample", () => {
    const entry = "{ path: rows.jsonl, format: text, weight: 0.5, sample: 10 }";
    expect(plan(pretrain.replace("rows.jsonl", entry)).dataset).toEqual([
      { path: "/p/rows.jsonl", format: "text", weight: 0.5, sample: 10 },
    ]);
  });
});

describe("the model", () => {
  test("from random weights: the tokenizer and the config fill in the rest", () => {
    const model =
      "model: { hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2 }\ntokenizer_name_or_path: tok\nseed: 9\nmax_length: 64";
    expect(plan(pretrain.replace("model_name_or_path: base", model)).model).toEqual({
      kind: "architecture",
      seed: 9,
      architecture: {
        model_type: "llama",
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-6,
        rope_theta: 10000,
        tie_word_embeddings: false,
        initializer_range: 0.02,
        head_dim: 4,
        attention_bias: false,
        rope_scaling: null,
        vocab_size: null,
      },
    });
  });
  test("of another family, with heads of its own width and scaled positions", () => {
    const model =
      "model:\n  model_type: qwen2\n  hidden_size: 8\n  intermediate_size: 16\n  num_hidden_layers: 1\n  num_attention_heads: 3\n  head_dim: 6\n  rope_scaling: { rope_type: linear, factor: 2 }\ntokenizer_name_or_path: tok\nmax_length: 64";
    expect(plan(pretrain.replace("model_name_or_path: base", model)).model).toMatchObject({
      architecture: {
        model_type: "qwen2",
        head_dim: 6,
        attention_bias: true,
        rope_scaling: { rope_type: "linear", factor: 2 },
      },
    });
  });
  test("with more tokens than it has: the zip-tie map lies beside the tokenizer unless it is named", () => {
    const grown = `${pretrain.replace("base", "small")}tokenizer_name_or_path: grown\nembedding_init: `;
    expect(plan(`${grown}zip-tie\n`).vocabulary).toEqual({
      initialization: "zip-tie",
      map: "/p/grown/zip-tie.json",
    });
    expect(plan(`${grown}zip-tie\nembedding_init_map: ties.json\n`).vocabulary?.map).toBe("/p/ties.json");
    expect(plan(`${grown}mean\n`).vocabulary).toEqual({ initialization: "mean", map: null });
  });
  test("of another config: its tokenizer is found through the chain", () => {
    const resolved = plan(pretrain.replace("base", "other.ziptie.yaml"));
    expect(resolved.model).toEqual({ kind: "config", path: "/p/other.ziptie.yaml" });
    expect(resolved.tokenizer).toEqual({ path: "/p/base" });
  });
  test("of configs that name each other has no tokenizer, and no plan", () => {
    const files = filesOf({
      "/p/b.ziptie.yaml": "stage: pretrain\nmodel_name_or_path: a.ziptie.yaml\ndataset: rows.jsonl\n",
      "/p/a.ziptie.yaml": pretrain.replace("base", "b.ziptie.yaml"),
      "/p/rows.jsonl": "",
    });
    expect(
      resolveTrainingPlan(readConfig(pretrain.replace("base", "b.ziptie.yaml"), "/p/a.ziptie.yaml"), files)
        .plan,
    ).toBeNull();
  });
});

test.each([
  ["max_steps: 7", { duration: { steps: 7 } }],
  ["max_steps: -1\nnum_train_epochs: 0.5", { duration: { epochs: 0.5 } }],
  ["max_grad_norm: 0", { optimizer: { max_grad_norm: null } }],
  ["warmup_ratio: 0.1", { schedule: { warmup: { ratio: 0.1 } } }],
  ["warmup_steps: 5", { schedule: { warmup: { steps: 5 } } }],
  [
    "lr_scheduler_type: cosine_with_min_lr\nlearning_rate: 1e-3\nlr_scheduler_kwargs: { min_lr: 1e-4 }",
    { schedule: { min_lr_rate: 0.1 } },
  ],
  ["save_strategy: no", { checkpointing: { interval: null } }],
  ["save_strategy: epoch", { checkpointing: { interval: { epochs: 1 } } }],
  ["save_steps: 0.25", { checkpointing: { interval: { share: 0.25 } } }],
  ["eval_dataset: rows.jsonl", { evaluation: { on_start: false, interval: null, batch_size: 8 } }],
  ["eval_dataset: rows.jsonl\neval_on_start: true", { evaluation: { on_start: true, interval: null } }],
  [
    "eval_dataset: rows.jsonl\neval_strategy: steps\neval_steps: 9",
    { evaluation: { interval: { steps: 9 } } },
  ],
  ["use_peft: true", { adapter: { r: 16, alpha: 32, dropout: 0.05, target_modules: "all-linear" } }],
  ["use_peft: true\nlora_target_modules: [q_proj]", { adapter: { target_modules: ["q_proj"] } }],
])("%s", (lines, expected) => {
  expect(plan(`${pretrain}${lines}\n`)).toMatchObject(expected);
});

test("intervals and warm-up in steps, as HF's Trainer counts them", () => {
  expect(intervalInSteps({ steps: 40 }, 1000, 100)).toBe(40);
  expect(intervalInSteps({ share: 0.25 }, 1001, 100)).toBe(251);
  expect(intervalInSteps({ epochs: 1 }, 1000, 100)).toBe(100);
  expect(warmupInSteps({ ratio: 0.03 }, 1010)).toBe(31);
  expect(warmupInSteps({ steps: 5 }, 1010)).toBe(5);
});

describe("QLoRA, as the Bailong paper sets it", () => {
  const qlora = `${pretrain}use_peft: true
load_in_4bit: true
lora_r: 64
lora_alpha: 16
lora_target_modules: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, embed_tokens, lm_head]
lora_modules_to_save: [norm]
optim: paged_adamw_8bit
embedding_learning_rate: 5e-6
gradient_checkpointing: full
packing: true
`;
  test("is a plan", () => {
    expect(plan(qlora)).toMatchObject({
      adapter: { r: 64, alpha: 16, modules_to_save: ["norm"] },
      quantization: { type: "nf4", double_quant: true },
      frozen_dtype: "auto",
      recompute: "full",
      optimizer: { name: "paged_adamw_8bit", embedding_learning_rate: 5e-6 },
      packing: true,
    });
    expect(plan(qlora).adapter?.target_modules).toHaveLength(9);
  });
  test.each([
    ["adamw_torch", "adamw_torch"],
    ["adamw_torch_fused", "adamw_torch"],
    ["adamw_8bit", "adamw_8bit"],
    ["adamw_bnb_8bit", "adamw_8bit"],
    ["paged_adamw_8bit", "paged_adamw_8bit"],
  ])("optim: %s", (written, name) => {
    expect(plan(`${pretrain}optim: ${written}\n`).optimizer.name).toBe(name);
  });
  test.each([
    ["true", "full"],
    ["false", "none"],
    ["selective", "selective"],
    ["auto", "auto"],
  ])("gradient_checkpointing: %s", (written, recompute) => {
    expect(plan(`${pretrain}gradient_checkpointing: ${written}\n`).recompute).toBe(recompute);
  });
});
