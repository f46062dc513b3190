import type { TrainingPlan } from "../configs/training-plan";
import { Refused } from "./refused";

/** What of HF's `LlamaConfig` decides the shapes of its tensors. */
export interface LlamaShape {
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  vocab_size: number;
  max_position_embeddings: number;
  tie_word_embeddings: boolean;
}

export interface ParameterShape {
  /** HF's tensor name, or PEFT's for an adapter's. */
  name: string;
  shape: number[];
}

/** [out, in] of each linear layer of a decoder layer, by module name, in HF's order. */
function linearModules(shape: LlamaShape): { block: string; module: string; size: [number, number] }[] {
  const queries = shape.num_attention_heads * shape.head_dim;
  const keys = shape.num_key_value_heads * shape.head_dim;
  const { hidden_size: hidden, intermediate_size: inner } = shape;
  return [
    { block: "self_attn", module: "q_proj", size: [queries, hidden] },
    { block: "self_attn", module: "k_proj", size: [keys, hidden] },
    { block: "self_attn", module: "v_proj", size: [keys, hidden] },
    { block: "self_attn", module: "o_proj", size: [hidden, queries] },
    { block: "mlp", module: "gate_proj", size: [inner, hidden] },
    { block: "mlp", module: "up_proj", size: [inner, hidden] },
    { block: "mlp", module: "down_proj", size: [hidden, inner] },
  ];
}

/** Every weight of an HF Llama, by HF's names. */
export function baseParameters(shape: LlamaShape): ParameterShape[] {
  const { hidden_size: hidden, vocab_size: vocabulary } = shape;
  const parameters: ParameterShape[] = [{ name: "model.embed_tokens.weight", shape: [vocabulary, hidden] }];
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`;
    for (const { block, module, size } of linearModules(shape)) {
      parameters.push({ name: `${prefix}.${block}.${module}.weight`, shape: size });
    }
    parameters.push({ name: `${prefix}.input_layernorm.weight`, shape: [hidden] });
    parameters.push({ name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden] });
  }
  parameters.push({ name: "model.norm.weight", shape: [hidden] });
  if (!shape.tie_word_embeddings) parameters.push({ name: "lm_head.weight", shape: [vocabulary, hidden] });
  return parameters;
}

/** PEFT's "all-linear": every linear layer but the head. */
export function targetModules(
  shape: LlamaShape,
  targets: NonNullable<TrainingPlan["adapter"]>["target_modules"],
): string[] {
  const modules = linearModules(shape).map(({ module }) => module);
  if (targets === "all-linear") return modules;
  const unknown = targets.find((target) => !modules.includes(target));
  if (unknown !== undefined) {
    throw new Refused(
      `lora_target_modules names ${unknown}, which the engine puts no adapter on. It can: ${modules.join(", ")}.`,
    );
  }
  return [...targets];
}

/** The LoRA tensors on the linear layers, by PEFT's names: A [r, in], B [out, r]. */
export function adapterParameters(
  shape: LlamaShape,
  targets: readonly string[],
  r: number,
): ParameterShape[] {
  const parameters: ParameterShape[] = [];
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    for (const { block, module, size } of linearModules(shape)) {
      if (!targets.includes(module)) continue;
      const prefix = `base_model.model.model.layers.${layer}.${block}.${module}`;
      parameters.push({ name: `${prefix}.lora_A.weight`, shape: [r, size[1]] });
      parameters.push({ name: `${prefix}.lora_B.weight`, shape: [size[0], r] });
    }
  }
  return parameters;
}

/** How many numbers these tensors hold. */
export function elements(parameters: readonly ParameterShape[]): number {
  return parameters.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
}
