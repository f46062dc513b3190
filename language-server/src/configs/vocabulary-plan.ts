import { dirname, resolve } from "node:path";
import type { ScriptName } from "../tokenizers/extension/scripts";
import type { ZipTieWeights } from "../tokenizers/extension/zip-tie-weights";
import type { ConfigFiles } from "./config-files";
import { datasetEntries } from "./dataset-entries";
import type { ConfigReading } from "./read-config";
import { runNameOf } from "./run-names";
import { tokenizerPathOf } from "./sources";

/** What a config of `stage: vocabulary` means, every default resolved and every path absolute. */
export interface VocabularyPlan {
  /** Absolute path of the config. */
  readonly config: string;
  /** The config's file name without `.ziptie.yaml`; runs are named `<name>-<n>`. */
  readonly name: string;
  /** A directory or a `tokenizer.json`. */
  readonly tokenizer: string;
  /** At least one. */
  readonly dataset: readonly TextSource[];
  /** What the efficiency is measured on; empty: the dataset itself. */
  readonly evaluation: readonly TextSource[];
  /** What must be tokenised as before; empty: what of the dataset is ASCII. */
  readonly check: readonly TextSource[];
  readonly scripts: readonly ScriptName[];
  readonly vocab_size: number;
  readonly min_frequency: number;
  readonly character_coverage: number;
  /** In characters, the longest one. */
  readonly max_token_length: number;
  readonly split_digits: boolean;
  readonly zip_tie_weights: ZipTieWeights;
  /** Absolute; the run directory is made inside. */
  readonly output_dir: string;
}

export interface TextSource {
  /** A file or a folder. */
  readonly path: string;
  /** At most so many texts; null: all. */
  readonly sample: number | null;
}

/** @returns null when the config is of another stage or leaves open what is to be done */
export function resolveVocabularyPlan(reading: ConfigReading, files: ConfigFiles): VocabularyPlan | null {
  const { config, path } = reading;
  if (config?.stage !== "vocabulary" || !config.scripts) return null;
  const tokenizer = tokenizerPathOf(reading, files);
  if (tokenizer === null) return null;
  const folder = dirname(path);
  const sources = (key: "dataset" | "eval_dataset" | "check_dataset"): TextSource[] =>
    datasetEntries(config, key).map(({ entry }) => ({
      path: resolve(folder, entry.path),
      sample: entry.sample ?? null,
    }));
  const { vocab_size, min_frequency, character_coverage, max_token_length, split_digits, zip_tie_weights } =
    config;
  return {
    config: path,
    name: runNameOf(path),
    tokenizer,
    dataset: sources("dataset"),
    evaluation: sources("eval_dataset"),
    check: sources("check_dataset"),
    scripts: config.scripts,
    vocab_size,
    min_frequency,
    character_coverage,
    max_token_length,
    split_digits,
    zip_tie_weights,
    output_dir: resolve(folder, config.output_dir),
  };
}
