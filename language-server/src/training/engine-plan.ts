import { z } from "zod";
import { adaptedModules, savedModules } from "../configs/modules";

/**
 * `plan.json`, version 1: everything the engine needs to know about a run. Every default is resolved and every path is
 * absolute; nothing is left for the engine to guess. Documented in `native/README.md`; read by `native/engine/train/plan.cpp`,
 * which refuses unknown keys and wrong types just as this schema does.
 */

const path = z.string().startsWith("/");
const count = z.number().int().positive();
const fraction = z.number().min(0).max(1);
const belowOne = z.number().min(0).lt(1);
const seed = z.number().int().nonnegative();

const ropeScalingSchema = z.discriminatedUnion("rope_type", [
  z.strictObject({ rope_type: z.literal("linear"), factor: z.number().min(1) }),
  z.strictObject({
    rope_type: z.literal("llama3"),
    factor: z.number().min(1),
    low_freq_factor: z.number().positive(),
    high_freq_factor: z.number().positive(),
    original_max_position_embeddings: count,
  }),
]);

/** The subset of HF `LlamaConfig` that describes a model; the names are HF's. */
export const architectureSchema = z.strictObject({
  model_type: z.enum(["llama", "mistral", "qwen2"]),
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: count,
  vocab_size: count,
  max_position_embeddings: count,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive(),
  rope_scaling: ropeScalingSchema.nullable(),
  /** Biases on queries, keys and values. */
  attention_bias: z.boolean(),
  tie_word_embeddings: z.boolean(),
  /** Standard deviation of the normal distribution that weights are drawn from. */
  initializer_range: z.number().positive(),
  bos_token_id: z.number().int().nonnegative().nullable(),
  eos_token_id: z.number().int().nonnegative().nullable(),
});

/** A base that is given more tokens than it has. */
const vocabularySchema = z
  .strictObject({
    /** Tokens afterwards. */
    size: count,
    /** Tokens of the base, which may have more rows: new tokens take those first. null: as many as it has rows. */
    base_size: count.nullable(),
    initialization: z.enum(["random", "mean", "zip-tie"]),
    /** `{"new_id": [[base_id, weight], …]}`, for `zip-tie` alone. */
    map: path.nullable(),
    seed,
  })
  .refine(({ size, base_size }) => base_size === null || base_size <= size, { path: ["base_size"] })
  .refine(({ initialization, map }) => (initialization === "zip-tie") === (map !== null), { path: ["map"] });

const adapterSchema = z.strictObject({
  r: count.max(16384),
  alpha: z.number().positive(),
  dropout: belowOne,
  use_rslora: z.boolean(),
  /** `all-linear` is already expanded. */
  target_modules: z.array(z.enum(adaptedModules)).min(1),
  /** Trained whole beside the adapter; `norm` is every norm. */
  modules_to_save: z.array(z.enum(savedModules)),
});

const rows = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 48);

/** Rows of a data set that are not in its shards, by reason; `run_started` adds those that the engine leaves out. */
const droppedSchema = z.strictObject({
  /** Longer than `max_length`, with `truncation: drop`. */
  too_long: rows,
  /** No token within `max_length` carries loss. */
  unsupervised: rows,
  /** Their JSON or their format. */
  broken: rows,
  /** The chat template refuses them. */
  template: rows,
  /** The tokenizer cannot express them. */
  tokenizer: rows,
});

export const enginePlanSchema = z.strictObject({
  version: z.literal(1),
  stage: z.enum(["pretrain", "sft"]),
  model: z.union([
    /** An HF directory, with more tokens than it has or null. */
    z.strictObject({ path, vocabulary: vocabularySchema.nullable() }),
    /** Random initialisation. */
    z.strictObject({ architecture: architectureSchema, seed }),
  ]),
  /** HF tokenizer files to lie beside a model that is written; null when there are none. */
  tokenizer_files: z.array(path),
  data: z
    .array(
      z.strictObject({
        /** None when every row was dropped. */
        shards: z.array(path),
        weight: z.number().positive().max(1e6),
        dropped: droppedSchema,
      }),
    )
    .refine((data) => data.some(({ shards }) => shards.length > 0)),
  evaluation: z
    .strictObject({
      shards: z.array(path).min(1),
      /** Evaluate before the first step, too. */
      on_start: z.boolean(),
      /** Evaluate after every so many steps, and always after the last one; null: only after the last. */
      every_steps: count.nullable(),
      /** Sequences at a time. */
      batch_size: count,
      dropped: droppedSchema,
    })
    .nullable(),
  /** LoRA; null trains every weight. */
  adapter: adapterSchema.nullable(),
  /** Of the frozen linear layers inside the decoder; embedding, norms and head are never quantised. */
  quantization: z.strictObject({ type: z.literal("nf4"), double_quant: z.boolean() }).nullable(),
  /** How frozen weights that are not quantised are kept; arithmetic is float32 on the CPU. */
  frozen_dtype: z.enum(["float32", "bfloat16"]),
  /** What is computed again for the backward pass instead of kept. */
  recompute: z.enum(["none", "selective", "full"]),
  optimizer: z.strictObject({
    name: z.enum(["adamw_torch", "adamw_8bit", "paged_adamw_8bit"]),
    learning_rate: z.number().positive(),
    /** Of `embed_tokens` and `lm_head`, adapter or whole; null: `learning_rate`. */
    embedding_learning_rate: z.number().positive().nullable(),
    betas: z.tuple([belowOne, belowOne]),
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
    steps: count.max(2 ** 32),
  }),
  batching: z.strictObject({
    per_device_train_batch_size: count.max(16384),
    gradient_accumulation_steps: count.max(16384),
    max_length: count.max(2 ** 24),
    /** What happens to rows longer than `max_length`. */
    truncation: z.enum(["cut", "drop"]),
    /** Order of the rows: reshuffled every epoch from (seed, epoch). */
    shuffle: z.boolean(),
    /** Rows of about the same length into a batch, as HF's `group_by_length` does it. */
    group_by_length: z.boolean(),
    /** Batches are of packs, which the shards' `pack_offsets` name. */
    packing: z.boolean(),
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
  seed,
  /** The run directory. */
  output: path,
  /** SHA-256 in hexadecimal of each input file: weights, tokenizer, shards. Compared on resume. */
  inputs: z.record(path, z.string().regex(/^[0-9a-f]{64}$/)),
});

export type EnginePlan = z.infer<typeof enginePlanSchema>;
export type DroppedCounts = z.infer<typeof droppedSchema>;
export type Architecture = z.infer<typeof architectureSchema>;
