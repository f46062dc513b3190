import { z } from "zod";

/**
 * `plan.json`, version 1: everything the engine needs to know about a run. Every default is resolved and every path is
 * absolute; nothing is left for the engine to guess. Documented in `native/README.md`; read by `native/engine/train/plan.cpp`,
 * which refuses unknown keys and wrong types just as this schema does.
 */

const path = z.string().startsWith("/");
const count = z.number().int().positive();
const fraction = z.number().min(0).max(1);

/** The subset of HF `LlamaConfig` that describes a model; the names are HF's. */
export const architectureSchema = z.strictObject({
  model_type: z.literal("llama"),
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  vocab_size: count,
  max_position_embeddings: count,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive(),
  tie_word_embeddings: z.boolean(),
  /** Standard deviation of the normal distribution that weights are drawn from. */
  initializer_range: z.number().positive(),
  bos_token_id: z.number().int().nonnegative().nullable(),
  eos_token_id: z.number().int().nonnegative().nullable(),
});

const adapterSchema = z.strictObject({
  r: count,
  alpha: z.number().positive(),
  dropout: fraction,
  use_rslora: z.boolean(),
  /** Last components of module names, e.g. `q_proj`; `all-linear` is already expanded. */
  target_modules: z.array(z.string()).min(1),
});

export const enginePlanSchema = z.strictObject({
  version: z.literal(1),
  stage: z.enum(["pretrain", "sft"]),
  model: z.union([
    /** An HF directory. */
    z.strictObject({ path }),
    /** Random initialisation. */
    z.strictObject({ architecture: architectureSchema, seed: z.number().int().nonnegative() }),
  ]),
  /** HF tokenizer files to lie beside a model that is written; null when there are none. */
  tokenizer_files: z.array(path),
  data: z.array(z.strictObject({ shards: z.array(path).min(1), weight: z.number().positive() })).min(1),
  evaluation: z
    .strictObject({
      shards: z.array(path).min(1),
      /** Evaluate after every so many steps, and always after the last one; null: only after the last. */
      every_steps: count.nullable(),
      /** Sequences at a time. */
      batch_size: count,
    })
    .nullable(),
  /** LoRA; null trains every weight. */
  adapter: adapterSchema.nullable(),
  /** Not carried out yet; always null in plans of this version's first engine. */
  quantization: z.null(),
  optimizer: z.strictObject({
    name: z.literal("adamw_torch"),
    learning_rate: z.number().positive(),
    betas: z.tuple([fraction, fraction]),
    epsilon: z.number().positive(),
    /** Decoupled; not applied to norms and biases. */
    weight_decay: z.number().nonnegative(),
    /** Global L2 norm; null does not clip. */
    max_grad_norm: z.number().positive().nullable(),
  }),
  schedule: z.strictObject({
    name: z.enum(["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_min_lr"]),
    warmup_steps: z.number().int().nonnegative(),
    /** The floor as a share of the peak; 0 but for `cosine_with_min_lr`. */
    min_lr_rate: fraction,
    /** Optimizer steps of the whole run. */
    steps: count,
  }),
  batching: z.strictObject({
    per_device_train_batch_size: count,
    gradient_accumulation_steps: count,
    max_length: count,
    /** What happens to rows longer than `max_length`. */
    truncation: z.enum(["cut", "drop"]),
    /** Order of the rows: reshuffled every epoch from (seed, epoch). */
    shuffle: z.boolean(),
  }),
  checkpointing: z.strictObject({
    /** Checkpoint after every so many steps; null: only at the end. */
    save_steps: count.nullable(),
    /** Older checkpoints are deleted; null keeps all. */
    save_total_limit: count.nullable(),
  }),
  logging_steps: count,
  device: z.enum(["auto", "cpu", "cuda"]),
  /** CPU threads; null: as many as the machine has. */
  threads: count.nullable(),
  seed: z.number().int().nonnegative(),
  /** The run directory. */
  output: path,
  /** SHA-256 in hexadecimal of each input file: weights, tokenizer, shards. Compared on resume. */
  inputs: z.record(path, z.string().regex(/^[0-9a-f]{64}$/)),
});

export type EnginePlan = z.infer<typeof enginePlanSchema>;
export type Architecture = z.infer<typeof architectureSchema>;
