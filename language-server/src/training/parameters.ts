/** What of an HF config decides the shapes of a model's tensors. */
export interface ModelShape {
  model_type: "llama" | "mistral" | "qwen2";
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  vocab_size: number;
  max_position_embeddings: number;
  /** Biases on queries, keys and values; in a llama on the attention's output, too. */
  attention_bias: boolean;
  tie_word_embeddings: boolean;
}

export interface AdapterShape {
  r: number;
  /** `all-linear` is already expanded. */
  target_modules: readonly string[];
  /** Trained whole. */
  modules_to_save: readonly string[];
}

export interface ParameterShape {
  /** HF's tensor name, or PEFT's for an adapter's. */
  name: string;
  shape: number[];
}

interface LinearLayer {
  block: "self_attn" | "mlp";
  module: string;
  /** [out, in] */
  size: [number, number];
  hasBias: boolean;
}

/** The linear layers of a decoder layer, in HF's order. */
export function linearLayers(shape: ModelShape): LinearLayer[] {
  const queries = shape.num_attention_heads * shape.head_dim;
  const keys = shape.num_key_value_heads * shape.head_dim;
  const { hidden_size: hidden, intermediate_size: inner, attention_bias: hasBias } = shape;
  const outputBias = hasBias && shape.model_type === "llama";
  return [
    { block: "self_attn", module: "q_proj", size: [queries, hidden], hasBias },
    { block: "self_attn", module: "k_proj", size: [keys, hidden], hasBias },
    { block: "self_attn", module: "v_proj", size: [keys, hidden], hasBias },
    { block: "self_attn", module: "o_proj", size: [hidden, queries], hasBias: outputBias },
    { block: "mlp", module: "gate_proj", size: [inner, hidden], hasBias: false },
    { block: "mlp", module: "up_proj", size: [inner, hidden], hasBias: false },
    { block: "mlp", module: "down_proj", size: [hidden, inner], hasBias: false },
  ];
}

/** Every weight of an HF Llama, Mistral or Qwen2, by HF's names. */
export function baseParameters(shape: ModelShape): ParameterShape[] {
  const { hidden_size: hidden, vocab_size: vocabulary } = shape;
  const parameters: ParameterShape[] = [{ name: "model.embed_tokens.weight", shape: [vocabulary, hidden] }];
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`;
    for (const { block, module, size, hasBias } of linearLayers(shape)) {
      parameters.push({ name: `${prefix}.${block}.${module}.weight`, shape: size });
      if (hasBias) parameters.push({ name: `${prefix}.${block}.${module}.bias`, shape: [size[0]] });
    }
    parameters.push({ name: `${prefix}.input_layernorm.weight`, shape: [hidden] });
    parameters.push({ name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden] });
  }
  parameters.push({ name: "model.norm.weight", shape: [hidden] });
  if (!shape.tie_word_embeddings) parameters.push({ name: "lm_head.weight", shape: [vocabulary, hidden] });
  return parameters;
}

const ends = ["embed_tokens", "lm_head"];

/** Whether a name stands among others; either end of a tied model stands for both. */
function includes(shape: ModelShape, names: readonly string[], module: string): boolean {
  if (shape.tie_word_embeddings && ends.includes(module)) return names.some((name) => ends.includes(name));
  return names.includes(module);
}

/**
 * The LoRA tensors, by PEFT's names: A [r, in] and B [out, r] of a linear layer, A [r, vocabulary] and B [hidden, r] of the
 * embedding. A tied model has one adapter for both ends, the embedding's.
 */
export function adapterParameters(shape: ModelShape, { r, target_modules }: AdapterShape): ParameterShape[] {
  const parameters: ParameterShape[] = [];
  const { hidden_size: hidden, vocab_size: vocabulary } = shape;
  const prefix = "base_model.model";
  if (includes(shape, target_modules, "embed_tokens")) {
    parameters.push({ name: `${prefix}.model.embed_tokens.lora_embedding_A`, shape: [r, vocabulary] });
    parameters.push({ name: `${prefix}.model.embed_tokens.lora_embedding_B`, shape: [hidden, r] });
  }
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    for (const { block, module, size } of linearLayers(shape)) {
      if (!target_modules.includes(module)) continue;
      const name = `${prefix}.model.layers.${layer}.${block}.${module}`;
      parameters.push({ name: `${name}.lora_A.weight`, shape: [r, size[1]] });
      parameters.push({ name: `${name}.lora_B.weight`, shape: [size[0], r] });
    }
  }
  if (!shape.tie_word_embeddings && target_modules.includes("lm_head")) {
    parameters.push({ name: `${prefix}.lm_head.lora_A.weight`, shape: [r, hidden] });
    parameters.push({ name: `${prefix}.lm_head.lora_B.weight`, shape: [vocabulary, r] });
  }
  return parameters;
}

/** Whether a weight of the base is trained whole beside an adapter. `norm` stands for every norm. */
export function isSaved(shape: ModelShape, { modules_to_save }: AdapterShape, name: string): boolean {
  if (name === "model.embed_tokens.weight") return includes(shape, modules_to_save, "embed_tokens");
  if (name === "lm_head.weight") return includes(shape, modules_to_save, "lm_head");
  return modules_to_save.includes("norm") && name.endsWith("norm.weight");
}

/** What a run trains: every weight, or the adapter and the modules saved with it, by the names PEFT saves them under. */
export function trainedParameters(shape: ModelShape, adapter: AdapterShape | null): ParameterShape[] {
  const base = baseParameters(shape);
  if (adapter === null) return base;
  const saved = base.filter(({ name }) => isSaved(shape, adapter, name));
  return [
    ...saved.map(({ name, shape }) => ({ name: `base_model.model.${name}`, shape })),
    ...adapterParameters(shape, adapter),
  ];
}

/** Whether a trained tensor has the embedding's learning rate. */
export function isOfEmbedding(name: string): boolean {
  return /(^|\.)(embed_tokens|lm_head)\./.test(name);
}

/** How many numbers these tensors hold. */
export function elements(parameters: readonly ParameterShape[]): number {
  return parameters.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
}
