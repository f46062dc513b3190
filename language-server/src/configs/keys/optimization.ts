import { z } from "zod";
import { hf, key, optional, unsloth } from "./key";

const schedulerKwargs = z.strictObject({
  min_lr_rate: optional(z.number().min(0).max(1), {
    source: hf,
    says: "Floor of the learning rate as a share of its peak, for `cosine_with_min_lr`.",
  }),
  min_lr: optional(z.number().min(0), {
    source: hf,
    says: "Floor of the learning rate itself, for `cosine_with_min_lr`.",
  }),
});

/** The optimizer and its learning rate. */
export const optimizationKeys = {
  optim: key(
    z.enum([
      "adamw_torch",
      "adamw_torch_fused",
      "adamw_8bit",
      "adamw_bnb_8bit",
      "paged_adamw_8bit",
      "paged_adamw_32bit",
    ]),
    "adamw_torch",
    {
      source: hf,
      says: "The optimizer: AdamW with moments in 32 bits, or in 8 (`adamw_8bit`, also called `adamw_bnb_8bit`), or in 8 and moved out of a GPU's memory when it is full (`paged_adamw_8bit`).",
      default: "HF: `adamw_torch_fused`, the same arithmetic",
    },
  ),
  learning_rate: key(z.number().positive(), 2e-5, {
    source: hf,
    says: "Peak learning rate.",
    default: "as in TRL's SFTConfig",
  }),
  embedding_learning_rate: optional(z.number().positive(), {
    source: unsloth,
    says: "Peak learning rate of `embed_tokens` and `lm_head`, whether they are trained whole or through an adapter; often a fifth to a tenth of `learning_rate`.",
    default: "`learning_rate`",
  }),
  adam_beta1: key(z.number().min(0).lt(1), 0.9, { source: hf, says: "AdamW's β₁." }),
  adam_beta2: key(z.number().min(0).lt(1), 0.999, { source: hf, says: "AdamW's β₂." }),
  adam_epsilon: key(z.number().positive(), 1e-8, { source: hf, says: "AdamW's ε." }),
  weight_decay: key(z.number().min(0), 0, {
    source: hf,
    says: "Decoupled weight decay; not applied to norms and biases.",
  }),
  max_grad_norm: key(z.number().min(0), 1, {
    source: hf,
    says: "The gradient's global L2 norm is clipped to this; `0` does not clip.",
  }),
  lr_scheduler_type: key(
    z.enum([
      "constant",
      "constant_with_warmup",
      "linear",
      "cosine",
      "cosine_with_min_lr",
      "cosine_with_restarts",
      "polynomial",
      "inverse_sqrt",
      "warmup_stable_decay",
      "reduce_lr_on_plateau",
    ]),
    "linear",
    { source: hf, says: "How the learning rate goes after the warm-up." },
  ),
  lr_scheduler_kwargs: optional(schedulerKwargs, {
    source: hf,
    says: "What the scheduler needs besides: `min_lr_rate` or `min_lr` for `cosine_with_min_lr`.",
  }),
  warmup_steps: key(z.number().min(0), 0, {
    source: hf,
    says: "Optimizer steps over which the learning rate rises to its peak.",
  }),
  warmup_ratio: key(z.number().min(0), 0, {
    source: hf,
    says: "The warm-up as a share of the run's steps, between 0 and 1.",
  }),
};
