import { spanOf } from "../key-path";
import type { OptionReport } from "./report";

export function modelOptions(report: OptionReport): void {
  if (report.has("model") && report.has("model_name_or_path")) {
    report.incompatible(
      "model",
      "`model` (random weights) and `model_name_or_path` (weights from disk) exclude each other. Remove one.",
    );
  }
  // A stage that is misspelt may be one that has no model.
  const isMisspelt = report.has("stage") && report.config.stage === undefined;
  if (!isMisspelt && !report.has("model") && !report.has("model_name_or_path")) {
    report.missing(
      "stage",
      "This config needs `model_name_or_path`, or `model` for random weights of an architecture.",
    );
  }
  if (report.has("model") && !report.has("model_name_or_path") && !report.has("tokenizer_name_or_path")) {
    report.missing(
      "model",
      "`model` has no tokenizer of its own: this config needs `tokenizer_name_or_path`.",
    );
  }
}

/** What begins a vocabulary that the model does not have whole. */
export function embeddingInitOptions(report: OptionReport): void {
  if (report.has("model") && report.has("embedding_init")) {
    report.incompatible(
      "embedding_init",
      "`model` begins with random weights of the tokenizer's size: no token is missing, so `embedding_init` is ignored.",
    );
  }
  if (report.has("embedding_init_map") && report.config.embedding_init !== "zip-tie") {
    report.incompatible(
      "embedding_init_map",
      "Only `embedding_init: zip-tie` reads a map; without it `embedding_init_map` is ignored.",
    );
  }
}

export function architectureOptions(report: OptionReport): void {
  const { model } = report.config;
  if (!model) return;
  const kvHeads = model.num_key_value_heads ?? model.num_attention_heads;
  const headDim = model.head_dim ?? model.hidden_size / model.num_attention_heads;
  if (!Number.isInteger(headDim)) {
    report.unfitting(
      ["model", "num_attention_heads"],
      `\`num_attention_heads\` must divide \`hidden_size\`, or \`head_dim\` must be given: ${model.hidden_size} / ${model.num_attention_heads} is not whole.`,
    );
  } else if (headDim % 2 !== 0) {
    report.unfitting(
      ["model", model.head_dim === undefined ? "num_attention_heads" : "head_dim"],
      `A head has ${headDim} dimensions; rotary embeddings need an even number.`,
    );
  }
  if (model.num_attention_heads % kvHeads !== 0) {
    report.unfitting(
      ["model", "num_key_value_heads"],
      `\`num_key_value_heads\` must divide \`num_attention_heads\`: ${model.num_attention_heads} / ${kvHeads} is not whole.`,
    );
  }
  if (report.config.max_length > model.max_position_embeddings) {
    report.unfitting(
      report.has("max_length") ? ["max_length"] : ["model", "max_position_embeddings"],
      `\`max_length\` (${report.config.max_length}) is more than the model's \`max_position_embeddings\` (${model.max_position_embeddings}).`,
    );
  }
  const { model_type: type, attention_bias: bias } = model;
  if (bias !== undefined && type !== "llama" && bias !== (type === "qwen2")) {
    report.unfitting(
      ["model", "attention_bias"],
      `\`model_type: ${type}\` ${type === "qwen2" ? "always has biases on queries, keys and values" : "never has biases"}.`,
      report.removal(["model", "attention_bias"]),
    );
  }
  const { rope_scaling: rope } = model;
  if (rope === undefined) return;
  const llama3Keys = ["low_freq_factor", "high_freq_factor", "original_max_position_embeddings"] as const;
  for (const key of llama3Keys) {
    const path = ["model", "rope_scaling", key];
    if (rope.rope_type === "llama3" && rope[key] === undefined) {
      report.add({
        rule: "missing-key",
        span: spanOf(report.root, ["model", "rope_scaling"], "key"),
        message: `\`rope_type: llama3\` needs \`${key}\`.`,
      });
    }
    if (rope.rope_type === "linear" && rope[key] !== undefined) {
      report.incompatible(key, `\`rope_type: linear\` has no \`${key}\`, so it is ignored.`, path);
    }
  }
}
