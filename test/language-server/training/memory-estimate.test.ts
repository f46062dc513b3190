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

const vocabulary = 2048;

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

/** What `ziptie plan` says of a config, and what the engine says of its third step. */
async function estimatedAndMeasured(lines: string): Promise<{ estimated: number; measured: number }> {
  const rows = Array.from({ length: 24 }, (_, i) => ({
    text: `${i} ${"通過創建新理論與發展新科技".repeat(20)}`,
  }));
  writeFileSync(join(directory, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const text = `stage: pretrain\ntokenizer_name_or_path: tokenizer\ndataset: rows.jsonl\nmax_steps: 3\nsave_strategy: "no"\n${lines}`;
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
  expect(steps).toHaveLength(3);
  return { estimated, measured: Math.max(...steps.map((step) => step.memory_bytes)) };
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

/** Eleven million parameters and thirty-four. */
const modes: [string, string][] = [
  [
    "every weight in float32",
    `model: { hidden_size: 320, intermediate_size: 864, num_hidden_layers: 8, num_attention_heads: 5 }
max_length: 128
per_device_train_batch_size: 4
`,
  ],
  [
    "LoRA with dropout on a base whose files are in bfloat16",
    `model_name_or_path: base
max_length: 128
per_device_train_batch_size: 4
use_peft: true
gradient_checkpointing: none
dtype: float32
`,
  ],
  [
    "QLoRA in 4 bits, with 8-bit AdamW and everything computed again",
    `model_name_or_path: base
max_length: 128
per_device_train_batch_size: 4
use_peft: true
load_in_4bit: true
optim: paged_adamw_8bit
gradient_checkpointing: full
`,
  ],
];

describe.skipIf(!existsSync(engine))("the memory estimate (needs the engine)", () => {
  test.each(modes)(
    "%s: within a tenth of the measured peak",
    async (_, lines) => {
      writeModel("base", shape);
      const { estimated, measured } = await estimatedAndMeasured(lines);
      expect(Math.abs(estimated / measured - 1)).toBeLessThan(0.1);
    },
    120_000,
  );
});
