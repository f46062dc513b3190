import { z } from "zod";
import { count, hf, key, path, stepsOrShare } from "./key";

/** As many as the engine takes. */
const batch = count.max(16384);

/** How long and in what portions a run goes, what it reports and keeps, and where. */
export const runKeys = {
  per_device_train_batch_size: key(batch, 8, {
    source: hf,
    says: "Sequences in one forward pass; with `packing`, packs.",
  }),
  gradient_accumulation_steps: key(batch, 1, {
    source: hf,
    says: "Forward passes before one optimizer step.",
  }),
  num_train_epochs: key(z.number().positive(), 3, {
    source: hf,
    says: "Passes over the training data; may be fractional.",
  }),
  max_steps: key(
    z
      .int()
      .min(-1)
      .max(2 ** 32),
    -1,
    {
      source: hf,
      says: "Optimizer steps of the whole run, instead of `num_train_epochs`; `-1` leaves it to the epochs.",
    },
  ),
  gradient_checkpointing: key(z.union([z.boolean(), z.enum(["auto", "none", "selective", "full"])]), "auto", {
    source: hf,
    says: "Compute activations again in the backward pass instead of keeping them: `none`, `selective` (what is cheap to compute), `full` (all but each layer's input), or `auto`: the first of these with which the run fits this machine's memory. HF's `true` is `full`, `false` is `none`.",
    default: "TRL: `true`",
  }),
  seed: key(z.int().min(0), 42, { source: hf, says: "Seed of everything random in the run." }),
  logging_steps: key(count, 1, {
    source: hf,
    says: "Report the loss after every so many optimizer steps.",
    default: "TRL: 10",
  }),
  eval_strategy: key(z.enum(["no", "steps", "epoch"]), "no", {
    source: hf,
    says: "When to evaluate. With an `eval_dataset` there is always one evaluation after the last step.",
  }),
  eval_steps: key(stepsOrShare, 500, {
    source: hf,
    says: "Evaluate after every so many optimizer steps (below 1: share of the run), for `eval_strategy: steps`.",
    default: "HF: `logging_steps`",
  }),
  eval_on_start: key(z.boolean(), false, {
    source: hf,
    says: "Evaluate before the first step, too: what the model is worth before it has learned anything here.",
  }),
  per_device_eval_batch_size: key(count, 8, {
    source: hf,
    says: "Sequences in one forward pass of the evaluation.",
  }),
  save_strategy: key(z.enum(["no", "steps", "epoch"]), "steps", {
    source: hf,
    says: "When to write a checkpoint. There is always one at the end.",
  }),
  save_steps: key(stepsOrShare, 500, {
    source: hf,
    says: "Write a checkpoint after every so many optimizer steps (below 1: share of the run), for `save_strategy: steps`.",
  }),
  save_total_limit: key(count.nullable(), null, {
    source: hf,
    says: "Keep only so many checkpoints, deleting the oldest; `null` keeps all.",
  }),
  device: key(z.enum(["auto", "cpu", "cuda"]), "auto", {
    source: "Ziptie",
    says: "What computes: `auto` takes the best there is.",
  }),
  output_dir: key(path, "runs", {
    source: hf,
    says: "A run directory is made inside: `<output_dir>/<config>-<n>`.",
    default: "HF: `trainer_output`",
  }),
};
