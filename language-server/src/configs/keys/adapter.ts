import { z } from "zod";
import { adaptedModules, savedModules } from "../modules";
import { key, optional, trlModel } from "./key";

function eachOnce<T extends z.ZodType>(name: T) {
  return z.array(name).refine((names) => new Set(names).size === names.length, {
    error: "names a module twice",
  });
}

/** LoRA, and the frozen weights below it. */
export const adapterKeys = {
  use_peft: key(z.boolean(), false, {
    source: trlModel,
    says: "Train a LoRA adapter instead of every weight.",
  }),
  lora_r: key(z.int().min(1).max(16384), 16, { source: trlModel, says: "Rank of the LoRA matrices." }),
  lora_alpha: key(z.number().positive(), 32, {
    source: trlModel,
    says: "LoRA's scale is `lora_alpha / lora_r`.",
  }),
  lora_dropout: key(z.number().min(0).lt(1), 0.05, {
    source: trlModel,
    says: "Dropout on the input of the LoRA matrices.",
  }),
  lora_target_modules: key(
    z.union([z.enum(["all-linear"]), eachOnce(z.enum(adaptedModules)).min(1)]),
    "all-linear",
    {
      source: trlModel,
      says: "Which layers get an adapter: `all-linear` (every linear layer but the LM head), or a list of module names, `embed_tokens` and `lm_head` among them.",
      default: "TRL leaves the choice to PEFT",
    },
  ),
  lora_modules_to_save: optional(eachOnce(z.enum(savedModules)), {
    source: trlModel,
    says: "Modules trained whole beside the adapter and saved with it: `embed_tokens`, `lm_head`, `norm` (every norm).",
    default: "none",
  }),
  use_rslora: key(z.boolean(), false, {
    source: trlModel,
    says: "Rank-stabilised LoRA: the scale is `lora_alpha / sqrt(lora_r)`.",
  }),
  load_in_4bit: key(z.boolean(), false, {
    source: trlModel,
    says: "QLoRA: keep the frozen linear layers in 4 bits. Embedding, norms and LM head are not quantised.",
  }),
  bnb_4bit_quant_type: key(z.enum(["nf4", "fp4"]), "nf4", {
    source: trlModel,
    says: "The 4-bit data type, for `load_in_4bit`.",
  }),
  use_bnb_nested_quant: key(z.boolean(), true, {
    source: trlModel,
    says: "Quantise the quantisation constants too, for `load_in_4bit`.",
    default: "unlike TRL, whose default is `false`",
  }),
};
