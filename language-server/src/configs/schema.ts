import { z } from "zod";

/**
 * Every key of a `*.ziptie.yaml`, once: from here come the types, the checks, the completions and the hovers.
 * A key that HF `TrainingArguments`, TRL or PEFT has keeps their name, type and meaning.
 */

type Source =
  | "HF TrainingArguments"
  | "HF LlamaConfig"
  | "TRL SFTConfig"
  | "TRL ModelConfig"
  | "PEFT"
  | "Ziptie";

interface KeyDoc {
  readonly source: Source;
  /** What the key does, in one or two sentences of Markdown. */
  readonly says: string;
  /** What happens without the key, when that is not one constant; or why the constant differs from the source's. */
  readonly default?: string;
}

function describe(doc: KeyDoc, constant: unknown): string {
  const parts = [doc.says];
  const value = constant === undefined ? "" : `\`${JSON.stringify(constant).replace(/^"(.*)"$/, "$1")}\``;
  const text = [value, doc.default].filter(Boolean).join(", ");
  if (text) parts.push(`Default: ${text}.`);
  parts.push(doc.source === "Ziptie" ? "Ziptie's own key." : `Name and meaning: ${doc.source}.`);
  return parts.join("\n\n");
}

/** A key with a constant default. */
function key<T extends z.ZodType>(type: T, constant: z.input<T> & z.output<T>, doc: KeyDoc) {
  return type
    .default(constant as never)
    .meta({ description: describe(doc, constant) }) as unknown as z.ZodDefault<T>;
}

/** A key that may be absent. */
function optional<T extends z.ZodType>(type: T, doc: KeyDoc) {
  return type.optional().meta({ description: describe(doc, undefined) }) as unknown as z.ZodOptional<T>;
}

const count = z.int().min(1);
const path = z.string().min(1);
/** HF's `*_steps`: a whole number of steps, or a share of the run below 1. */
const stepsOrShare = z
  .number()
  .positive()
  .refine((steps) => steps < 1 || Number.isInteger(steps), {
    error: "takes a whole number of steps, or a share of the run below 1",
  });

const hf = "HF TrainingArguments";
const llama = "HF LlamaConfig";
const sft = "TRL SFTConfig";
const trlModel = "TRL ModelConfig";

export const linearModules = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

export const datasetFormats = ["messages", "alpaca", "sharegpt", "prompt-completion", "text"] as const;

const datasetEntry = z.strictObject({
  path: path.meta({
    description: describe(
      { source: "Ziptie", says: "A `.jsonl` or `.json` file, relative to this config." },
      undefined,
    ),
  }),
  format: optional(z.enum(datasetFormats), {
    source: "Ziptie",
    says: "How a row is written.",
    default: "detected from the rows",
  }),
  weight: key(z.number().positive(), 1, {
    source: "Ziptie",
    says: "Sampling weight beside the other datasets.",
  }),
  sample: optional(count, {
    source: "Ziptie",
    says: "Use at most so many rows.",
    default: "all rows",
  }),
});

const datasets = z.union([path, datasetEntry, z.array(z.union([path, datasetEntry])).min(1)]);

const architecture = z.strictObject({
  model_type: key(z.literal("llama"), "llama", { source: llama, says: "The architecture's family." }),
  hidden_size: count.meta({
    description: describe({ source: llama, says: "Width of the hidden states." }, undefined),
  }),
  intermediate_size: count.meta({
    description: describe({ source: llama, says: "Width of the MLP's inner layer." }, undefined),
  }),
  num_hidden_layers: count.meta({
    description: describe({ source: llama, says: "Number of decoder layers." }, undefined),
  }),
  num_attention_heads: count.meta({
    description: describe(
      { source: llama, says: "Query heads of each layer; divides `hidden_size`." },
      undefined,
    ),
  }),
  num_key_value_heads: optional(count, {
    source: llama,
    says: "Key and value heads of each layer; divides `num_attention_heads`.",
    default: "as many as `num_attention_heads`",
  }),
  vocab_size: optional(count, {
    source: llama,
    says: "Rows of the embedding.",
    default: "the tokenizer's size",
  }),
  max_position_embeddings: key(count, 2048, {
    source: llama,
    says: "Longest sequence the model is made for.",
  }),
  rms_norm_eps: key(z.number().positive(), 1e-6, { source: llama, says: "Epsilon of the RMS norms." }),
  rope_theta: key(z.number().positive(), 10000, { source: llama, says: "Base of the rotary embedding." }),
  tie_word_embeddings: key(z.boolean(), false, {
    source: llama,
    says: "Whether the LM head shares the embedding's weights.",
  }),
  initializer_range: key(z.number().positive(), 0.02, {
    source: llama,
    says: "Standard deviation of the normal distribution the weights are drawn from.",
  }),
  bos_token_id: optional(z.int().min(0).nullable(), {
    source: llama,
    says: "Id of the token that begins a sequence, written into the model's `config.json`.",
    default: "the tokenizer's",
  }),
  eos_token_id: optional(z.int().min(0).nullable(), {
    source: llama,
    says: "Id of the token that ends a sequence, written into the model's `config.json`.",
    default: "the tokenizer's",
  }),
  seed: optional(z.int().min(0), {
    source: "Ziptie",
    says: "Seed of the random weights.",
    default: "the config's `seed`",
  }),
});

const schedulerKwargs = z.strictObject({
  min_lr_rate: optional(z.number().min(0).max(1), {
    source: hf,
    says: "Floor of the learning rate as a share of its peak, for `cosine_with_min_lr`.",
  }),
  min_lr: optional(z.number().min(0), {
    source: hf,
    says: "Floor of the learning rate itself, for `cosine_with_min_lr`.",
  }),
});

const judge = z.strictObject({
  bench: path.meta({ description: "The questions: a `.jsonl` file in MT-bench's form." }),
  every_steps: count.optional().meta({ description: "Judge after every so many optimizer steps." }),
  sample: count.optional().meta({ description: "Judge at most so many questions each time." }),
  judge: z
    .enum(["reference", "openai", "local"])
    .default("reference")
    .meta({ description: "Who gives the scores." }),
});

export const trainingConfigSchema = z.strictObject({
  stage: z.enum(["vocabulary", "pretrain", "sft"]).meta({
    description: describe(
      {
        source: "Ziptie",
        says: "What is done: `pretrain` trains on plain text with loss on every token, `sft` on conversations with loss on the answers, `vocabulary` extends the tokenizer.",
      },
      undefined,
    ),
  }),
  model_name_or_path: optional(path, {
    source: trlModel,
    says: "The model to start from: an HF directory, or another `*.ziptie.yaml`, which stands for the model its newest finished run has written.",
  }),
  model: optional(architecture, {
    source: "Ziptie",
    says: "Start from random weights of this architecture instead of from `model_name_or_path`.",
  }),
  tokenizer_name_or_path: optional(path, {
    source: "Ziptie",
    says: "A directory with a `tokenizer.json`, or that file.",
    default: "the model's",
  }),
  chat_template_path: optional(path, {
    source: sft,
    says: "Turns a conversation into text: a built-in template's name or a `.jinja` file. Required for `sft` unless the tokenizer carries one.",
    default: "the tokenizer's",
  }),
  dataset: datasets.meta({
    description: describe(
      { source: "Ziptie", says: "What to train on: one path, one entry, or a list of either." },
      undefined,
    ),
  }),
  eval_dataset: optional(datasets, {
    source: "Ziptie",
    says: "What the evaluation loss is measured on; same shape as `dataset`.",
    default: "no evaluation",
  }),
  max_length: key(count, 1024, { source: sft, says: "Longest row in tokens." }),
  truncation: key(z.enum(["cut", "drop"]), "cut", {
    source: "Ziptie",
    says: "What happens to a row longer than `max_length`: `cut` keeps its beginning (TRL's `keep_start`), `drop` leaves it out.",
  }),
  packing: key(z.boolean(), false, {
    source: sft,
    says: "Put several short rows into one sequence of `max_length`, isolated from each other.",
  }),

  use_peft: key(z.boolean(), false, {
    source: trlModel,
    says: "Train a LoRA adapter instead of every weight.",
  }),
  lora_r: key(count, 16, { source: trlModel, says: "Rank of the LoRA matrices." }),
  lora_alpha: key(z.number().positive(), 32, {
    source: trlModel,
    says: "LoRA's scale is `lora_alpha / lora_r`.",
  }),
  lora_dropout: key(z.number().min(0).lt(1), 0.05, {
    source: trlModel,
    says: "Dropout on the input of the LoRA matrices.",
  }),
  lora_target_modules: key(
    z.union([z.enum(["all-linear"]), z.array(z.enum([...linearModules, "embed_tokens", "lm_head"])).min(1)]),
    "all-linear",
    {
      source: trlModel,
      says: "Which layers get an adapter: `all-linear` (every linear layer but the LM head), or a list of module names.",
      default: "TRL leaves the choice to PEFT",
    },
  ),
  lora_modules_to_save: optional(z.array(z.string()), {
    source: trlModel,
    says: "Modules trained in full beside the adapter and saved with it.",
    default: "none",
  }),
  use_rslora: key(z.boolean(), false, {
    source: trlModel,
    says: "Rank-stabilised LoRA: the scale is `lora_alpha / sqrt(lora_r)`.",
  }),

  load_in_4bit: key(z.boolean(), false, {
    source: trlModel,
    says: "QLoRA: keep the frozen weights in 4 bits.",
  }),
  bnb_4bit_quant_type: key(z.enum(["nf4", "fp4"]), "nf4", {
    source: trlModel,
    says: "The 4-bit data type, for `load_in_4bit`.",
  }),
  use_bnb_nested_quant: key(z.boolean(), true, {
    source: trlModel,
    says: "Quantise the quantisation constants too, for `load_in_4bit`.",
    default: "unlike TRL, whose default is `false`",
  }),

  optim: key(
    z.enum([
      "adamw_torch",
      "adamw_torch_fused",
      "adamw_8bit",
      "adamw_bnb_8bit",
      "paged_adamw_8bit",
      "paged_adamw_32bit",
    ]),
    "adamw_torch",
    { source: hf, says: "The optimizer.", default: "HF: `adamw_torch_fused`, the same arithmetic" },
  ),
  learning_rate: key(z.number().positive(), 2e-5, {
    source: hf,
    says: "Peak learning rate.",
    default: "as in TRL's SFTConfig",
  }),
  adam_beta1: key(z.number().min(0).lt(1), 0.9, { source: hf, says: "AdamW's β₁." }),
  adam_beta2: key(z.number().min(0).lt(1), 0.999, { source: hf, says: "AdamW's β₂." }),
  adam_epsilon: key(z.number().positive(), 1e-8, { source: hf, says: "AdamW's ε." }),
  weight_decay: key(z.number().min(0), 0, {
    source: hf,
    says: "Decoupled weight decay; not applied to norms and biases.",
  }),
  max_grad_norm: key(z.number().min(0), 1, {
    source: hf,
    says: "The gradient's global L2 norm is clipped to this; `0` does not clip.",
  }),
  lr_scheduler_type: key(
    z.enum([
      "constant",
      "constant_with_warmup",
      "linear",
      "cosine",
      "cosine_with_min_lr",
      "cosine_with_restarts",
      "polynomial",
      "inverse_sqrt",
      "warmup_stable_decay",
      "reduce_lr_on_plateau",
    ]),
    "linear",
    { source: hf, says: "How the learning rate goes after the warm-up." },
  ),
  lr_scheduler_kwargs: optional(schedulerKwargs, {
    source: hf,
    says: "What the scheduler needs besides: `min_lr_rate` or `min_lr` for `cosine_with_min_lr`.",
  }),
  warmup_steps: key(z.number().min(0), 0, {
    source: hf,
    says: "Optimizer steps over which the learning rate rises to its peak.",
  }),
  warmup_ratio: key(z.number().min(0), 0, {
    source: hf,
    says: "The warm-up as a share of the run's steps, between 0 and 1.",
  }),

  per_device_train_batch_size: key(count, 8, { source: hf, says: "Sequences in one forward pass." }),
  gradient_accumulation_steps: key(count, 1, {
    source: hf,
    says: "Forward passes before one optimizer step.",
  }),
  num_train_epochs: key(z.number().positive(), 3, {
    source: hf,
    says: "Passes over the training data; may be fractional.",
  }),
  max_steps: key(z.int().min(-1), -1, {
    source: hf,
    says: "Optimizer steps of the whole run, instead of `num_train_epochs`; `-1` leaves it to the epochs.",
  }),
  gradient_checkpointing: key(z.union([z.boolean(), z.enum(["auto", "none", "selective", "full"])]), "auto", {
    source: hf,
    says: "Recompute activations in the backward pass to save memory: `none`, `selective`, `full`, or `auto`; HF's `true` is `full`, `false` is `none`.",
    default: "TRL: `true`",
  }),
  seed: key(z.int().min(0), 42, { source: hf, says: "Seed of everything random in the run." }),

  logging_steps: key(count, 1, {
    source: hf,
    says: "Report the loss after every so many optimizer steps.",
    default: "TRL: 10",
  }),
  eval_strategy: key(z.enum(["no", "steps", "epoch"]), "no", {
    source: hf,
    says: "When to evaluate. With an `eval_dataset` there is always one evaluation after the last step.",
  }),
  eval_steps: key(stepsOrShare, 500, {
    source: hf,
    says: "Evaluate after every so many optimizer steps (below 1: share of the run), for `eval_strategy: steps`.",
    default: "HF: `logging_steps`",
  }),
  per_device_eval_batch_size: key(count, 8, {
    source: hf,
    says: "Sequences in one forward pass of the evaluation.",
  }),
  save_strategy: key(z.enum(["no", "steps", "epoch"]), "steps", {
    source: hf,
    says: "When to write a checkpoint. There is always one at the end.",
  }),
  save_steps: key(stepsOrShare, 500, {
    source: hf,
    says: "Write a checkpoint after every so many optimizer steps (below 1: share of the run), for `save_strategy: steps`.",
  }),
  save_total_limit: key(count.nullable(), null, {
    source: hf,
    says: "Keep only so many checkpoints, deleting the oldest; `null` keeps all.",
  }),

  device: key(z.enum(["auto", "cpu", "cuda"]), "auto", {
    source: "Ziptie",
    says: "What computes: `auto` takes the best there is.",
  }),
  output_dir: key(path, "runs", {
    source: hf,
    says: "A run directory is made inside: `<output_dir>/<config>-<n>`.",
    default: "HF: `trainer_output`",
  }),

  embedding_init: optional(z.enum(["random", "mean", "zip-tie"]), {
    source: "Ziptie",
    says: "How the embeddings of tokens that the model does not have begin: `zip-tie` averages those of the tokens they replace.",
  }),
  judge: optional(judge, {
    source: "Ziptie",
    says: "Have answers to a bench judged while training goes on.",
  }),
  rules: key(
    z.record(z.string(), z.enum(["error", "warning", "information", "hint", "off"])),
    {},
    {
      source: "Ziptie",
      says: "Severity of lint rules for this config and the files it names: `error`, `warning`, `information`, `hint` or `off`.",
    },
  ),
});

/** A config that the schema accepts, constant defaults filled in. */
export type TrainingConfig = z.output<typeof trainingConfigSchema>;

/** The same without the keys whose values are wrong, so that one mistake does not hide the others. */
export const partialConfigSchema = trainingConfigSchema.partial({ stage: true, dataset: true });
export type PartialConfig = z.output<typeof partialConfigSchema>;
export type DatasetEntry = z.output<typeof datasetEntry>;

/** The keys of the top level. */
export const topLevelKeys: readonly string[] = Object.keys(trainingConfigSchema.shape);
