import { z } from "zod";
import { adapterKeys } from "./keys/adapter";
import { dataKeys, type datasetEntry } from "./keys/data";
import { judgeKeys } from "./keys/judge";
import { key, required } from "./keys/key";
import { modelKeys } from "./keys/model";
import { optimizationKeys } from "./keys/optimization";
import { runKeys } from "./keys/run";
import { vocabularyKeys } from "./keys/vocabulary";

/**
 * Every key of a `*.ziptie.yaml`, once, by subject in `keys/`: from here come the types, the checks, the completions and the
 * hovers. A key that HF `TrainingArguments`, TRL or PEFT has keeps their name, type and meaning.
 */
export const trainingConfigSchema = z.strictObject({
  stage: required(z.enum(["vocabulary", "pretrain", "sft"]), {
    source: "Ziptie",
    says: "What is done: `pretrain` trains on plain text with loss on every token, `sft` on conversations with loss on the answers, `vocabulary` extends the tokenizer.",
  }),
  ...modelKeys,
  ...dataKeys,
  ...adapterKeys,
  ...optimizationKeys,
  ...runKeys,
  ...judgeKeys,
  ...vocabularyKeys,
  rules: key(
    z.record(z.string(), z.enum(["error", "warning", "information", "hint", "off"])),
    {},
    {
      source: "Ziptie",
      says: "Severity of lint rules for this config and the files it names: `error`, `warning`, `information`, `hint` or `off`.",
    },
  ),
});

/** A config that the schema accepts, constant defaults filled in. */
export type TrainingConfig = z.output<typeof trainingConfigSchema>;

/** The same without the keys whose values are wrong, so that one mistake does not hide the others. */
export const partialConfigSchema = trainingConfigSchema.partial({ stage: true, dataset: true });
export type PartialConfig = z.output<typeof partialConfigSchema>;
export type DatasetEntry = z.output<typeof datasetEntry>;

/** The keys of the top level. */
export const topLevelKeys: readonly string[] = Object.keys(trainingConfigSchema.shape);
