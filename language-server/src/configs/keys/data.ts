import { z } from "zod";
import { count, hf, key, optional, path, required, sft, tokens } from "./key";

export const datasetFormats = ["messages", "alpaca", "sharegpt", "prompt-completion", "text"] as const;

export const datasetEntry = z.strictObject({
  path: required(path, { source: "Ziptie", says: "A `.jsonl` or `.json` file, relative to this config." }),
  format: optional(z.enum(datasetFormats), {
    source: "Ziptie",
    says: "How a row is written.",
    default: "detected from the rows",
  }),
  weight: key(z.number().positive().max(1e6), 1, {
    source: "Ziptie",
    says: "Sampling weight beside the other datasets.",
  }),
  sample: optional(count, {
    source: "Ziptie",
    says: "Use at most so many rows.",
    default: "all rows",
  }),
});

export const datasets = z.union([path, datasetEntry, z.array(z.union([path, datasetEntry])).min(1)]);

/** What it is trained on, and how rows become sequences. */
export const dataKeys = {
  dataset: required(datasets, {
    source: "Ziptie",
    says: "What to train on: one path, one entry, or a list of either.",
  }),
  eval_dataset: optional(datasets, {
    source: "Ziptie",
    says: "What the evaluation loss is measured on; same shape as `dataset`.",
    default: "no evaluation",
  }),
  max_length: key(tokens, 1024, { source: sft, says: "Longest row in tokens." }),
  truncation: key(z.enum(["cut", "drop"]), "cut", {
    source: "Ziptie",
    says: "What happens to a row longer than `max_length`: `cut` keeps its beginning (TRL's `keep_start`), `drop` leaves it out.",
  }),
  packing: key(z.boolean(), false, {
    source: sft,
    says: "Put several short rows into one sequence of at most `max_length` tokens (best-fit decreasing, TRL's `bfd`). Inside, each row stays a sequence of its own: attention and positions begin anew. Batch sizes and steps then count such packs.",
  }),
  group_by_length: key(z.boolean(), false, {
    source: hf,
    says: "Put rows of about the same length into a batch, so that micro-batches hold about as many tokens.",
  }),
};
