import { z } from "zod";
import { key, layers, llama, optional, path, required, sft, tokens, trlModel, width } from "./key";

const ropeScaling = z.strictObject({
  rope_type: required(z.enum(["linear", "llama3"]), {
    source: llama,
    says: "`linear` stretches every position alike, `llama3` only the slow frequencies.",
  }),
  factor: required(z.number().min(1), { source: llama, says: "How many times longer sequences become." }),
  low_freq_factor: optional(z.number().positive(), {
    source: llama,
    says: "For `llama3`: wavelengths above `original_max_position_embeddings` over this are stretched whole.",
  }),
  high_freq_factor: optional(z.number().positive(), {
    source: llama,
    says: "For `llama3`: wavelengths below `original_max_position_embeddings` over this stay.",
  }),
  original_max_position_embeddings: optional(tokens, {
    source: llama,
    says: "For `llama3`: the length the model was first trained on.",
  }),
});

const architecture = z.strictObject({
  model_type: key(z.enum(["llama", "mistral", "qwen2"]), "llama", {
    source: llama,
    says: "The architecture's family; `qwen2` has biases on queries, keys and values.",
  }),
  hidden_size: required(width, { source: llama, says: "Width of the hidden states." }),
  intermediate_size: required(width, { source: llama, says: "Width of the MLP's inner layer." }),
  num_hidden_layers: required(layers, { source: llama, says: "Number of decoder layers." }),
  num_attention_heads: required(width, {
    source: llama,
    says: "Query heads of each layer; divides `hidden_size`.",
  }),
  num_key_value_heads: optional(width, {
    source: llama,
    says: "Key and value heads of each layer; divides `num_attention_heads`.",
    default: "as many as `num_attention_heads`",
  }),
  head_dim: optional(width, {
    source: llama,
    says: "Width of each head; even.",
    default: "`hidden_size / num_attention_heads`",
  }),
  attention_bias: optional(z.boolean(), {
    source: llama,
    says: "Whether queries, keys and values have biases; in a `llama` the attention's output, too.",
    default: "only for `qwen2`, which always has them",
  }),
  vocab_size: optional(tokens, {
    source: llama,
    says: "Rows of the embedding.",
    default: "the tokenizer's size",
  }),
  max_position_embeddings: key(tokens, 2048, {
    source: llama,
    says: "Longest sequence the model is made for.",
  }),
  rms_norm_eps: key(z.number().positive(), 1e-6, { source: llama, says: "Epsilon of the RMS norms." }),
  rope_theta: key(z.number().positive(), 10000, { source: llama, says: "Base of the rotary embedding." }),
  rope_scaling: optional(ropeScaling, {
    source: llama,
    says: "How the rotary embedding is stretched to longer sequences than the model was first trained on: `linear`, or `llama3` as Llama 3.1 does it.",
    default: "not at all",
  }),
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
    says: "How the embeddings of tokens that the model does not have begin: `random` as the model's own did, `mean` as the average of all, `zip-tie` as the average of the tokens that the old tokenizer makes of the same text. Needed when the tokenizer is larger than the model; the rows of tokens that it has stay as they are.",
    default: "none; a tokenizer larger than the model is then refused",
  }),
  embedding_init_map: optional(path, {
    source: "Ziptie",
    says: 'For `embedding_init: zip-tie`, which tokens each new one replaces and their weights: `{"new_id": [[base_id, weight], …]}`.',
    default: "`zip-tie.json` beside the tokenizer, where the vocabulary stage writes it",
  }),
  dtype: key(z.enum(["auto", "float32", "bfloat16"]), "auto", {
    source: trlModel,
    says: "How frozen weights that are not quantised are kept; what is trained is always float32. `auto` takes bfloat16 when the model's files are that.",
    default: "TRL: `float32`",
  }),
};
