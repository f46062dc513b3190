import { basename, dirname, resolve } from "node:path";
import type { Finding } from "../text/span";
import type { ConfigFiles } from "./config-files";
import { datasetEntries } from "./dataset-entries";
import { pathFindings } from "./path-findings";
import type { ConfigReading } from "./read-config";
import type { TrainingConfig } from "./schema";
import { chatTemplateSource, isConfigPath, tokenizerPathOf } from "./sources";
import type { DatasetSource, Interval, ModelSource, TrainingPlan } from "./training-plan";

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
  const findings = [...reading.findings, ...pathFindings(reading, files)];
  const { config, path } = reading;
  if (
    !config ||
    config.stage === "vocabulary" ||
    config.optim !== "adamw_torch" ||
    config.device === "cuda"
  ) {
    return { plan: null, findings };
  }
  const schedule = scheduleOf(config);
  const model = modelOf(config, dirname(path));
  const tokenizer = tokenizerPathOf(reading, files);
  if (!schedule || !model || !tokenizer) return { plan: null, findings };
  const folder = dirname(path);
  const plan: TrainingPlan = {
    config: path,
    name: basename(path).replace(/(\.ziptie)?\.ya?ml$/i, ""),
    stage: config.stage,
    model,
    tokenizer: { path: tokenizer },
    chat_template: config.stage === "sft" ? chatTemplateSource(config.chat_template_path, folder) : null,
    dataset: sourcesOf(config, "dataset", folder),
    evaluation:
      config.eval_dataset === undefined
        ? null
        : {
            dataset: sourcesOf(config, "eval_dataset", folder),
            interval: intervalOf(config.eval_strategy, config.eval_steps),
            batch_size: config.per_device_eval_batch_size,
          },
    max_length: config.max_length,
    truncation: config.truncation,
    adapter: config.use_peft
      ? {
          r: config.lora_r,
          alpha: config.lora_alpha,
          dropout: config.lora_dropout,
          use_rslora: config.use_rslora,
          target_modules: config.lora_target_modules,
        }
      : null,
    optimizer: {
      name: config.optim,
      learning_rate: config.learning_rate,
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

function modelOf(config: TrainingConfig, folder: string): ModelSource | null {
  if (config.model_name_or_path !== undefined) {
    const path = resolve(folder, config.model_name_or_path);
    return { kind: isConfigPath(path) ? "config" : "directory", path };
  }
  if (!config.model) return null;
  const { seed, vocab_size, num_key_value_heads, bos_token_id, eos_token_id, ...rest } = config.model;
  return {
    kind: "architecture",
    seed: seed ?? config.seed,
    architecture: {
      ...rest,
      num_key_value_heads: num_key_value_heads ?? rest.num_attention_heads,
      vocab_size: vocab_size ?? null,
      bos_token_id,
      eos_token_id,
    },
  };
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
