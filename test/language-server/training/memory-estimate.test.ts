import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { diskFiles } from "../../../language-server/src/configs/config-files";
import { runnableConfig } from "../../../language-server/src/rules/config-rules";
import { baseParameters, elements, type ModelShape } from "../../../language-server/src/training/parameters";
import { planTraining, prepareRun } from "../../../language-server/src/training/prepare";
import { safetensorsHeader } from "../../../language-server/src/training/safetensors-header";
import { temporaryDirectory } from "./fake-engine";

const example = resolve(__dirname, "../../../examples/traditional-chinese");
const engine = resolve(__dirname, "../../../dist/engine/ziptie-engine");

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  cpSync(join(example, "tokenizer"), join(directory, "tokenizer"), { recursive: true });
  return () => rmSync(directory, { recursive: true, force: true });
});

/** The example's tokenizer has so many tokens. */
const vocabulary = 2048;

/** Gives the tokenizer, a BPE, tokens that no text has. */
function pad(tokenizer: string, size: number): void {
  const path = join(directory, tokenizer, "tokenizer.json");
  const json = JSON.parse(readFileSync(path, "utf8"));
  for (let id = vocabulary; id < size; id++) json.model.vocab[`<unused ${id}>`] = id;
  writeFileSync(path, JSON.stringify(json));
}

/** An HF model directory of small numbers in bfloat16. */
function writeModel(name: string, shape: ModelShape): void {
  const folder = join(directory, name);
  mkdirSync(folder);
  const architectures = ["LlamaForCausalLM"];
  const config = { ...shape, architectures, rms_norm_eps: 1e-6, rope_theta: 10000, hidden_act: "silu" };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const parameters = baseParameters(shape);
  const tensors = parameters.map((parameter) => ({ ...parameter, dtype: "BF16" }));
  const values = new Uint16Array(elements(parameters));
  // 0.0039 to 0.031 with either sign: the upper halves of float32.
  for (let i = 0, state = 1; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = 0x3b80 + ((state >>> 16) % 0x180) + (state & 0x8000_0000 ? 0x8000 : 0);
  }
  writeFileSync(
    join(folder, "model.safetensors"),
    Buffer.concat([safetensorsHeader(tensors), Buffer.from(values.buffer)]),
  );
}

/** Rows of about so many tokens. */
function writeRows(name: string, lengths: readonly number[]): void {
  const rows = lengths.map((tokens, i) => {
    const text = "通過創建新理論與發展新科技".repeat(Math.ceil(tokens / 6));
    return JSON.stringify({ text: `${i} ${text}`.slice(0, tokens * 2) });
  });
  writeFileSync(join(directory, name), `${rows.join("\n")}\n`);
}

/** What `ziptie plan` says of a config, and what the engine says of its last step. */
async function estimatedAndMeasured({ base, tokenizer, rows, lines }: Run) {
  writeModel("base", { ...shape, ...base });
  if (tokenizer !== undefined) pad("tokenizer", tokenizer);
  writeRows("rows.jsonl", rows ?? Array(24).fill(300));
  const text = `stage: pretrain\ntokenizer_name_or_path: tokenizer\ndataset: rows.jsonl\n${lines}`;
  const path = join(directory, "c.ziptie.yaml");
  const runnable = runnableConfig(text, path, diskFiles);
  if ("refused" in runnable) throw new Error(runnable.refused);
  const hooks = { report: () => {}, signal: new AbortController().signal };
  const { memory_bytes: estimated } = await planTraining(runnable.plan, hooks);
  const { run } = await prepareRun(runnable.plan, text, hooks);
  spawnSync(engine, ["train", join(run, "plan.json")], { stdio: "ignore" });
  const events = readFileSync(join(run, "events.jsonl"), "utf8").trim().split("\n");
  expect(events.at(-1)).toContain("run_finished");
  const steps = events.map((line) => JSON.parse(line)).filter(({ event }) => event === "step");
  return { estimated, measured: Math.max(...steps.map((step) => step.memory_bytes)) };
}

interface Run {
  /** Where the base differs from `shape`. */
  base?: Partial<ModelShape>;
  /** Tokens of the tokenizer. */
  tokenizer?: number;
  /** About how many tokens each row has. */
  rows?: readonly number[];
  /** Of the config. */
  lines: string;
}

const shape: ModelShape = {
  model_type: "llama",
  hidden_size: 512,
  intermediate_size: 1408,
  num_hidden_layers: 10,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  head_dim: 64,
  vocab_size: vocabulary,
  max_position_embeddings: 512,
  attention_bias: false,
  tie_word_embeddings: false,
};

const small = {
  hidden_size: 256,
  intermediate_size: 704,
  num_hidden_layers: 6,
  num_attention_heads: 4,
  num_key_value_heads: 4,
};
const large = { vocab_size: 32_000, num_hidden_layers: 2 };

/** From short to long, most of them short. */
const mixed = Array.from({ length: 96 }, (_, i) => 10 + Math.floor(400 * (((i * 37) % 96) / 96) ** 3));

/** Every third step is after a checkpoint, whose room is measured with it. */
const short = `max_steps: 3
save_steps: 2
max_length: 128
per_device_train_batch_size: 4
`;
const epoch = `num_train_epochs: 1
save_steps: 5
max_length: 512
per_device_train_batch_size: 4
`;
const adapter = `model_name_or_path: base
use_peft: true
`;
const scratch =
  "model: { hidden_size: 320, intermediate_size: 864, num_hidden_layers: 8, num_attention_heads: 5 }\n";
const ends = "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, embed_tokens, lm_head]";

/** Six million parameters to fifty. */
const runs: Record<string, Run> = {
  "every weight in float32": { lines: `${short}${scratch}` },
  "LoRA with dropout on a base whose files are in bfloat16": {
    lines: `${short}${adapter}gradient_checkpointing: none\ndtype: float32\n`,
  },
  "QLoRA in 4 bits, with 8-bit AdamW and everything computed again": {
    lines: `${short}${adapter}load_in_4bit: true\noptim: paged_adamw_8bit\ngradient_checkpointing: full\n`,
  },
  "a frozen base in bfloat16": {
    lines: `${short}${adapter}dtype: bfloat16\ngradient_checkpointing: selective\n`,
  },
  "rows of mixed lengths": {
    base: small,
    rows: mixed,
    lines: `${epoch}${adapter}gradient_checkpointing: none\n`,
  },
  "rows of mixed lengths, one at a time": {
    base: small,
    rows: mixed,
    lines: `${epoch.replace("size: 4", "size: 1")}${adapter}gradient_checkpointing: selective\n`,
  },
  "rows of mixed lengths, packed": {
    base: small,
    rows: mixed,
    lines: `${epoch}${adapter}packing: true\ngradient_checkpointing: selective\n`,
  },
  "larger batches in evaluation than in training": {
    base: small,
    rows: mixed,
    lines: `${short}${adapter}eval_dataset: rows.jsonl
eval_strategy: steps
eval_steps: 1
per_device_eval_batch_size: 32
gradient_checkpointing: full
`,
  },
  "adapters everywhere, both ends of a vocabulary of 32,000 among them": {
    base: large,
    tokenizer: 32_000,
    lines: `${short}${adapter}lora_target_modules: ${ends}\nlora_r: 64\nload_in_4bit: true\n`,
  },
  "a vocabulary grown to 32,000 whose tables are trained": {
    base: { ...large, vocab_size: vocabulary },
    tokenizer: 32_000,
    lines: `${short}${adapter}embedding_init: mean\nlora_modules_to_save: [embed_tokens, lm_head]\n`,
  },
  "a vocabulary grown to 32,000 of frozen tables, which loading takes more for than training": {
    base: { ...large, vocab_size: vocabulary },
    tokenizer: 32_000,
    lines: `${short.replace("size: 4", "size: 1")}${adapter}embedding_init: mean\ndtype: bfloat16\nload_in_4bit: true\n`,
  },
  "checkpoints of a large table": {
    base: large,
    tokenizer: 32_000,
    lines: `${short}${adapter}lora_modules_to_save: [embed_tokens]\n`,
  },
};

describe.skipIf(!existsSync(engine))("the memory estimate (needs the engine)", () => {
  test.each(Object.entries(runs))(
    "%s: within a tenth of the measured peak",
    async (_, run) => {
      const { estimated, measured } = await estimatedAndMeasured(run);
      expect(Math.abs(estimated / measured - 1), `${estimated} estimated, ${measured} measured`).toBeLessThan(
        0.1,
      );
    },
    120_000,
  );
});
