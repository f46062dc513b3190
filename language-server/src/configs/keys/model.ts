import { z } from "zod";
import { count, key, llama, optional, path, required, sft, trlModel } from "./key";

const architecture = z.strictObject({
  model_type: key(z.literal("llama"), "llama", { source: llama, says: "The architecture's family." }),
  hidden_size: required(count, { source: llama, says: "Width of the hidden states." }),
  intermediate_size: required(count, { source: llama, says: "Width of the MLP's inner layer." }),
  num_hidden_layers: required(count, { source: llama, says: "Number of decoder layers." }),
  num_attention_heads: required(count, {
    source: llama,
    says: "Query heads of each layer; divides `hidden_size`.",
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

/** What is trained: the model, its tokenizer and its chat template. */
export const modelKeys = {
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
  embedding_init: optional(z.enum(["random", "mean", "zip-tie"]), {
    source: "Ziptie",
    says: "How the embeddings of tokens that the model does not have begin: `zip-tie` averages those of the tokens they replace.",
  }),
};
