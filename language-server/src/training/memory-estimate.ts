import { elements, type LlamaShape, type ParameterShape } from "./parameters";

/** Bytes the engine will need on the CPU, where everything is float32. Approximate: the program itself and its buffers are not in it. */
export interface MemoryEstimate {
  weights: number;
  gradients: number;
  /** AdamW's two moments. */
  optimizer: number;
  activations: number;
}

const float32 = 4;

/**
 * - weights: 4 bytes for each parameter, adapters included
 * - gradients: 4 bytes for each trained one
 * - optimizer: 8 bytes for each trained one
 * - activations, kept from the forward pass to the backward pass, for each token of a micro-batch: in each layer the inputs and
 *   outputs of both norms (4 hidden), queries, keys, values and the attention's output (2 queries + 2 keys), gate, up and
 *   their product (3 intermediate); once, logits and their gradient for a chunk of at most 1,024 tokens
 *
 * @param tokens of the largest micro-batch
 */
export function estimateMemory(
  shape: LlamaShape,
  base: readonly ParameterShape[],
  adapter: readonly ParameterShape[],
  tokens: number,
): MemoryEstimate {
  const trained = elements(adapter.length > 0 ? adapter : base);
  const queries = shape.num_attention_heads * shape.head_dim;
  const keys = shape.num_key_value_heads * shape.head_dim;
  const perTokenAndLayer = 4 * shape.hidden_size + 2 * queries + 2 * keys + 3 * shape.intermediate_size;
  const logits = 2 * Math.min(tokens, 1024) * shape.vocab_size;
  return {
    weights: float32 * (elements(base) + elements(adapter)),
    gradients: float32 * trained,
    optimizer: 2 * float32 * trained,
    activations: float32 * (tokens * shape.num_hidden_layers * perTokenAndLayer + logits),
  };
}
