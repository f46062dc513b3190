import { z } from "zod";
import { count, key, optional, path, required, sft } from "./key";

export const datasetFormats = ["messages", "alpaca", "sharegpt", "prompt-completion", "text"] as const;

export const datasetEntry = z.strictObject({
  path: required(path, { source: "Ziptie", says: "A `.jsonl` or `.json` file, relative to this config." }),
  format: optional(z.enum(datasetFormats), {
    source: "Ziptie",
    says: "How a row is written.",
    default: "detected from the rows",
  }),
  weight: key(z.number().positive(), 1, {
    source: "Ziptie",
    says: "Sampling weight beside the other datasets.",
  }),
  sample: optional(count, {
    source: "Ziptie",
    says: "Use at most so many rows.",
    default: "all rows",
  }),
});

const datasets = z.union([path, datasetEntry, z.array(z.union([path, datasetEntry])).min(1)]);

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
  max_length: key(count, 1024, { source: sft, says: "Longest row in tokens." }),
  truncation: key(z.enum(["cut", "drop"]), "cut", {
    source: "Ziptie",
    says: "What happens to a row longer than `max_length`: `cut` keeps its beginning (TRL's `keep_start`), `drop` leaves it out.",
  }),
  packing: key(z.boolean(), false, {
    source: sft,
    says: "Put several short rows into one sequence of `max_length`, isolated from each other.",
  }),
};
