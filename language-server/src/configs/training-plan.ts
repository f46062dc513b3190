import type { AdaptedModule, SavedModule } from "./modules";
/**
 * What a training config means, every default resolved and every path absolute. Names are those of the config (HF, TRL,
 * PEFT). What needs the data or the model itself (rows, steps, hashes, the run's directory) is added by `training/`.
 */
export interface TrainingPlan {
  /** Absolute path of the config. */
  readonly config: string;
  /** The config's file name without `.ziptie.yaml`; runs are named `<name>-<n>`. */
  readonly name: string;
  readonly stage: "pretrain" | "sft";
  readonly model: ModelSource;
  /** How rows begin of tokens that the model does not have; null: it must have every token. */
  readonly vocabulary: {
    readonly initialization: "random" | "mean" | "zip-tie";
    /** The zip-tie map, absolute; null for the others. */
    readonly map: string | null;
  } | null;
  /** Where the tokenizer is read from. */
  readonly tokenizer: TokenizerSource;
  /** null for `pretrain`, which trains on plain text. */
  readonly chat_template: ChatTemplateSource | null;
  /** At least one. */
  readonly dataset: readonly DatasetSource[];
  readonly evaluation: {
    readonly dataset: readonly DatasetSource[];
    /** Before the first step, too. */
    readonly on_start: boolean;
    /** null: not between the first step and the last. */
    readonly interval: Interval | null;
    readonly batch_size: number;
  } | null;
  readonly max_length: number;
  readonly truncation: "cut" | "drop";
  /** Rows are put into packs of up to `max_length` tokens, which batches and steps then count. */
  readonly packing: boolean;
  readonly group_by_length: boolean;
  /** LoRA; null trains every weight. */
  readonly adapter: {
    readonly r: number;
    readonly alpha: number;
    readonly dropout: number;
    readonly use_rslora: boolean;
    /** Last components of module names; `all-linear` stands for every linear layer except `lm_head`. */
    readonly target_modules: "all-linear" | readonly AdaptedModule[];
    /** `embed_tokens`, `lm_head`, `norm`: trained whole beside the adapter. */
    readonly modules_to_save: readonly SavedModule[];
  } | null;
  /** Of the linear layers below an adapter. */
  readonly quantization: { readonly type: "nf4"; readonly double_quant: boolean } | null;
  /** How frozen weights that are not quantised are kept; `auto` is as the model's files have them, float32 or bfloat16. */
  readonly frozen_dtype: "auto" | "float32" | "bfloat16";
  /** What is computed again for the backward pass; `auto` is the least that fits the machine's memory. */
  readonly recompute: "auto" | "none" | "selective" | "full";
  readonly optimizer: {
    readonly name: "adamw_torch" | "adamw_8bit" | "paged_adamw_8bit";
    readonly learning_rate: number;
    /** Of `embed_tokens` and `lm_head`; null: `learning_rate`. */
    readonly embedding_learning_rate: number | null;
    readonly betas: readonly [number, number];
    readonly epsilon: number;
    readonly weight_decay: number;
    /** null does not clip. */
    readonly max_grad_norm: number | null;
  };
  readonly schedule: {
    readonly name: "constant" | "constant_with_warmup" | "linear" | "cosine" | "cosine_with_min_lr";
    /** A ratio is of the whole run's steps, rounded up. */
    readonly warmup: { readonly steps: number } | { readonly ratio: number };
    /** The floor as a share of the peak; 0 but for `cosine_with_min_lr`. */
    readonly min_lr_rate: number;
  };
  /** How long to train. Epochs may be fractional. */
  readonly duration: { readonly steps: number } | { readonly epochs: number };
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly checkpointing: {
    /** null: only at the end. */
    readonly interval: Interval | null;
    /** null keeps all. */
    readonly save_total_limit: number | null;
  };
  readonly logging_steps: number;
  readonly device: "auto" | "cpu";
  /** CPU threads; null: as many as the machine has. */
  readonly threads: number | null;
  readonly seed: number;
  /** Absolute; the run directory is made inside. */
  readonly output_dir: string;
}

export type ModelSource =
  /** An HF directory. */
  | { readonly kind: "directory"; readonly path: string }
  /** The model written by the newest finished run of another config. */
  | { readonly kind: "config"; readonly path: string }
  /** Random initialisation. */
  | { readonly kind: "architecture"; readonly architecture: PlannedArchitecture; readonly seed: number };

export type RopeScaling =
  | { readonly rope_type: "linear"; readonly factor: number }
  | {
      readonly rope_type: "llama3";
      readonly factor: number;
      readonly low_freq_factor: number;
      readonly high_freq_factor: number;
      readonly original_max_position_embeddings: number;
    };

/** HF `LlamaConfig`, resolved but for what the config leaves to the tokenizer. */
export interface PlannedArchitecture {
  readonly model_type: "llama" | "mistral" | "qwen2";
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  /** Biases on queries, keys and values. */
  readonly attention_bias: boolean;
  readonly rope_scaling: RopeScaling | null;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly tie_word_embeddings: boolean;
  readonly initializer_range: number;
  /** null: as many as the tokenizer has. */
  readonly vocab_size: number | null;
  /** undefined: the tokenizer's. */
  readonly bos_token_id: number | null | undefined;
  /** undefined: the tokenizer's. */
  readonly eos_token_id: number | null | undefined;
}

export interface TokenizerSource {
  /** Absolute path of a directory or of a `tokenizer.json`. */
  readonly path: string;
}

export type ChatTemplateSource =
  | { readonly kind: "builtin"; readonly name: string }
  | { readonly kind: "file"; readonly path: string }
  /** The one in the tokenizer's `tokenizer_config.json` or `chat_template.jinja`. */
  | { readonly kind: "tokenizer" };

export interface DatasetSource {
  readonly path: string;
  /** null: detected from the rows. */
  readonly format: DatasetFormatName | null;
  /** Sampling weight. */
  readonly weight: number;
  /** At most so many rows are used; null uses all. */
  readonly sample: number | null;
}

export type DatasetFormatName = "messages" | "alpaca" | "sharegpt" | "prompt-completion" | "text";

/** How often something happens: HF's `steps`, a share of the run (HF's fractional `*_steps`), or once an epoch. */
export type Interval = { readonly steps: number } | { readonly share: number } | { readonly epochs: number };

/**
 * Optimizer steps between two events.
 * @param totalSteps optimizer steps of the whole run
 * @param stepsPerEpoch optimizer steps of one pass over the data
 */
export function intervalInSteps(interval: Interval, totalSteps: number, stepsPerEpoch: number): number {
  if ("steps" in interval) return interval.steps;
  // HF Trainer: math.ceil(max_steps * eval_steps)
  if ("share" in interval) return Math.max(1, Math.ceil(totalSteps * interval.share));
  return Math.max(1, Math.round(stepsPerEpoch * interval.epochs));
}

/** Warm-up in optimizer steps, as HF's `get_warmup_steps` counts them. */
export function warmupInSteps(warmup: TrainingPlan["schedule"]["warmup"], totalSteps: number): number {
  return "steps" in warmup ? warmup.steps : Math.ceil(totalSteps * warmup.ratio);
}
