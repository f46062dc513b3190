import { dirname, resolve } from "node:path";
import type { Finding } from "../text/span";
import type { ConfigFiles } from "./config-files";
import { datasetEntries } from "./dataset-entries";
import { modelFindings, zipTieMapPath } from "./model-findings";
import { pathFindings } from "./path-findings";
import type { ConfigReading } from "./read-config";
import { runNameOf } from "./run-names";
import type { TrainingConfig } from "./schema";
import { chatTemplateSource, isConfigPath, tokenizerPathOf } from "./sources";
import type { DatasetSource, Interval, ModelSource, RopeScaling, TrainingPlan } from "./training-plan";

export interface PlanResolution {
  /** null when the config leaves open what is to be done. A plan may be there although there are findings. */
  readonly plan: TrainingPlan | null;
  /** The reading's findings and those about what the disk has. */
  readonly findings: readonly Finding[];
}

/**
 * Fills in every default and makes every path absolute.
 *
 * Whether a finding stands in the way is a matter of its rule's severity, which `rules/` knows.
 */
export function resolveTrainingPlan(reading: ConfigReading, files: ConfigFiles): PlanResolution {
  const findings = [...reading.findings, ...pathFindings(reading, files), ...modelFindings(reading, files)];
  const { config, path } = reading;
  if (!config || config.stage === "vocabulary" || config.device === "cuda") return { plan: null, findings };
  const folder = dirname(path);
  const schedule = scheduleOf(config);
  const optimizer = optimizerNames[config.optim];
  const model = modelOf(config, folder);
  const tokenizer = tokenizerPathOf(reading, files);
  if (!schedule || !optimizer || !model || !tokenizer) return { plan: null, findings };
  const plan: TrainingPlan = {
    config: path,
    name: runNameOf(path),
    stage: config.stage,
    model,
    vocabulary: vocabularyOf(config, folder, tokenizer, files),
    tokenizer: { path: tokenizer },
    chat_template: config.stage === "sft" ? chatTemplateSource(config.chat_template_path, folder) : null,
    dataset: sourcesOf(config, "dataset", folder),
    evaluation:
      config.eval_dataset === undefined
        ? null
        : {
            dataset: sourcesOf(config, "eval_dataset", folder),
            on_start: config.eval_on_start,
            interval: intervalOf(config.eval_strategy, config.eval_steps),
            batch_size: config.per_device_eval_batch_size,
          },
    max_length: config.max_length,
    truncation: config.truncation,
    packing: config.packing,
    group_by_length: config.group_by_length && !config.packing,
    adapter: config.use_peft
      ? {
          r: config.lora_r,
          alpha: config.lora_alpha,
          dropout: config.lora_dropout,
          use_rslora: config.use_rslora,
          target_modules: config.lora_target_modules,
          modules_to_save: config.lora_modules_to_save ?? [],
        }
      : null,
    quantization: config.load_in_4bit ? { type: "nf4", double_quant: config.use_bnb_nested_quant } : null,
    frozen_dtype: config.use_peft ? config.dtype : "float32",
    recompute: recomputeOf(config.gradient_checkpointing),
    optimizer: {
      name: optimizer,
      learning_rate: config.learning_rate,
      embedding_learning_rate: config.embedding_learning_rate ?? null,
      betas: [config.adam_beta1, config.adam_beta2],
      epsilon: config.adam_epsilon,
      weight_decay: config.weight_decay,
      max_grad_norm: config.max_grad_norm === 0 ? null : config.max_grad_norm,
    },
    schedule,
    duration: config.max_steps > 0 ? { steps: config.max_steps } : { epochs: config.num_train_epochs },
    per_device_train_batch_size: config.per_device_train_batch_size,
    gradient_accumulation_steps: config.gradient_accumulation_steps,
    checkpointing: {
      interval: intervalOf(config.save_strategy, config.save_steps),
      save_total_limit: config.save_total_limit,
    },
    logging_steps: config.logging_steps,
    device: config.device,
    threads: null,
    seed: config.seed,
    output_dir: resolve(folder, config.output_dir),
  };
  return { plan, findings };
}

/** The optimizers that run, by every name that HF has for each. */
const optimizerNames: Partial<Record<TrainingConfig["optim"], TrainingPlan["optimizer"]["name"]>> = {
  adamw_torch: "adamw_torch",
  adamw_torch_fused: "adamw_torch",
  adamw_8bit: "adamw_8bit",
  adamw_bnb_8bit: "adamw_8bit",
  paged_adamw_8bit: "paged_adamw_8bit",
};

function recomputeOf(written: TrainingConfig["gradient_checkpointing"]): TrainingPlan["recompute"] {
  return written === true ? "full" : written === false ? "none" : written;
}

function vocabularyOf(
  config: TrainingConfig,
  folder: string,
  tokenizer: string,
  files: ConfigFiles,
): TrainingPlan["vocabulary"] {
  const { embedding_init: initialization, embedding_init_map: written } = config;
  if (initialization === undefined || config.model) return null;
  const map = initialization === "zip-tie" ? zipTieMapPath(written, folder, tokenizer, files) : null;
  return { initialization, map };
}

function modelOf(config: TrainingConfig, folder: string): ModelSource | null {
  if (config.model_name_or_path !== undefined) {
    const path = resolve(folder, config.model_name_or_path);
    return { kind: isConfigPath(path) ? "config" : "directory", path };
  }
  if (!config.model) return null;
  const { seed, vocab_size, num_key_value_heads, bos_token_id, eos_token_id, ...rest } = config.model;
  const headDim = rest.head_dim ?? rest.hidden_size / rest.num_attention_heads;
  const rope = ropeScalingOf(rest.rope_scaling);
  if (!Number.isInteger(headDim) || rope === undefined) return null;
  return {
    kind: "architecture",
    seed: seed ?? config.seed,
    architecture: {
      ...rest,
      head_dim: headDim,
      attention_bias: rest.attention_bias ?? rest.model_type === "qwen2",
      rope_scaling: rope,
      num_key_value_heads: num_key_value_heads ?? rest.num_attention_heads,
      vocab_size: vocab_size ?? null,
      bos_token_id,
      eos_token_id,
    },
  };
}

/** undefined: something is missing. */
function ropeScalingOf(
  written: NonNullable<TrainingConfig["model"]>["rope_scaling"],
): RopeScaling | null | undefined {
  if (written === undefined) return null;
  const { rope_type, factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } = written;
  if (rope_type === "linear") return { rope_type, factor };
  if (!low_freq_factor || !high_freq_factor || !original_max_position_embeddings) return undefined;
  return { rope_type, factor, low_freq_factor, high_freq_factor, original_max_position_embeddings };
}

function scheduleOf(config: TrainingConfig): TrainingPlan["schedule"] | null {
  const { lr_scheduler_type: name, lr_scheduler_kwargs: kwargs, warmup_steps, warmup_ratio } = config;
  const warmup =
    name === "constant" || warmup_steps > 0 || warmup_ratio === 0
      ? { steps: name === "constant" ? 0 : Math.round(warmup_steps) }
      : { ratio: warmup_ratio };
  switch (name) {
    case "constant":
    case "constant_with_warmup":
    case "linear":
    case "cosine":
      return { name, warmup, min_lr_rate: 0 };
    case "cosine_with_min_lr": {
      const rate = kwargs?.min_lr_rate ?? (kwargs?.min_lr ?? Number.NaN) / config.learning_rate;
      return rate >= 0 && rate <= 1 ? { name, warmup, min_lr_rate: rate } : null;
    }
    default:
      return null;
  }
}

function intervalOf(strategy: "no" | "steps" | "epoch", steps: number): Interval | null {
  if (strategy === "no") return null;
  if (strategy === "epoch") return { epochs: 1 };
  return steps < 1 ? { share: steps } : { steps };
}

function sourcesOf(config: TrainingConfig, key: "dataset" | "eval_dataset", folder: string): DatasetSource[] {
  return datasetEntries(config, key).map(({ entry }) => ({
    path: resolve(folder, entry.path),
    format: entry.format ?? null,
    weight: entry.weight,
    sample: entry.sample ?? null,
  }));
}
