import {
  type AdapterShape,
  adapterParameters,
  baseParameters,
  elements,
  type ModelShape,
} from "./parameters";

/** Bytes the engine will need on the CPU, where everything is float32. Approximate: the data are not in it. */
export interface MemoryEstimate {
  weights: number;
  gradients: number;
  /** AdamW's two moments. */
  optimizer: number;
  activations: number;
  /** The program itself, whatever the model. */
  engine: number;
}

const float32 = 4;

/**
 * Measured as peak resident memory on x86-64 Linux beyond a run's tensors: 14 MB for the program and its libraries at the first step;
 * then oneDNN keeps the kernels it generates for each new shape, which came to 26 MB until its cache was full.
 */
const engineBytes = 40e6;

/**
 * - weights: 4 bytes for each parameter, adapters included
 * - gradients: 4 bytes for each trained one
 * - optimizer: 8 bytes for each trained one
 * - activations, as `native/engine/model/llama.cpp` takes them, for each token of a micro-batch: kept in each layer for the backward
 *   pass are the inputs of both norms (2 hidden), queries, keys, values and the attention's output (2 queries + 2 keys),
 *   gate and up (2 intermediate), the softmax's normalisers (heads) and the adapters' inner products (rank each); needed
 *   once are about 10 hidden, and 4 intermediate or 2 queries + 2 keys, whichever is more; and logits for a chunk of tokens, 64 MiB
 *   at most unless that is under 128 tokens
 * - engine: a constant
 *
 * @param tokens of the largest micro-batch
 */
export function estimateMemory(
  shape: ModelShape,
  adapter: AdapterShape | null,
  tokens: number,
): MemoryEstimate {
  const base = elements(baseParameters(shape));
  const added = adapter === null ? 0 : elements(adapterParameters(shape, adapter));
  const trained = adapter === null ? base : added;
  const { hidden_size: hidden, intermediate_size: inner, vocab_size: vocabulary } = shape;
  const attention = 2 * (shape.num_attention_heads + shape.num_key_value_heads) * shape.head_dim;
  const ranks = adapter === null ? 0 : adapter.r * adapter.target_modules.length;
  const kept = 2 * hidden + attention + 2 * inner + shape.num_attention_heads + ranks;
  const passing = 10 * hidden + Math.max(4 * inner, attention);
  const chunk = Math.min(tokens, Math.max(128, Math.min(2048, Math.floor(2 ** 24 / vocabulary))));
  return {
    weights: float32 * (base + added),
    gradients: float32 * trained,
    optimizer: 2 * float32 * trained,
    activations: float32 * (tokens * (shape.num_hidden_layers * kept + passing) + chunk * vocabulary),
    engine: engineBytes,
  };
}
