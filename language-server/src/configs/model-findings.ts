import { dirname, join, resolve } from "node:path";
import type { Finding } from "../text/span";
import type { ConfigFiles } from "./config-files";
import { spanOf } from "./key-path";
import { tiedEndOptions } from "./options/adapter";
import { OptionReport } from "./options/report";
import { type ConfigReading, readConfig } from "./read-config";
import { shortened } from "./shortened";
import { isConfigPath, tokenizerPathOf } from "./sources";
import { tokenizerSize } from "./tokenizer-size";

/** What of the config does not go with the model and the tokenizer that it names. */
export function modelFindings(reading: ConfigReading, files: ConfigFiles): Finding[] {
  const { partial: config, root, path, text } = reading;
  if (!config || !root || config.stage === "vocabulary") return [];
  const model = modelFacts(reading, files);
  if (!model) return [];
  const report = new OptionReport(text, root, config);
  if (model.isTied) tiedEndOptions(report, model.name);
  const tokenizer = tokenizerPathOf(reading, files);
  const size = tokenizer === null ? null : tokenizerSize(tokenizer, files);
  if (size !== null && model.vocabulary !== null) {
    const more = size - model.vocabulary;
    if (more > 0 && config.embedding_init === undefined) {
      const at =
        config.tokenizer_name_or_path !== undefined ? "tokenizer_name_or_path" : "model_name_or_path";
      report.add({
        rule: "tokenizer-model-vocab",
        span: spanOf(root, [at], "value"),
        message: `The tokenizer has ${size.toLocaleString("en")} tokens, the embedding of ${model.name} ${model.vocabulary.toLocaleString("en")} rows: ${more.toLocaleString("en")} tokens have no row. Use the model's own tokenizer, or say with \`embedding_init\` how the new rows begin.`,
      });
    }
    if (!isGrown(size, model) && config.embedding_init !== undefined && config.model === undefined) {
      report.incompatible(
        "embedding_init",
        `${model.name} has a row for each of the tokenizer's ${size.toLocaleString("en")} tokens, so \`embedding_init\` is ignored.`,
      );
    }
  }
  if (
    config.embedding_init === "zip-tie" &&
    (size === null || model.vocabulary === null || isGrown(size, model))
  ) {
    const map = zipTieMapPath(config.embedding_init_map, dirname(path), tokenizer, files);
    if (map !== null && files.kind(map) !== "file") {
      const at = config.embedding_init_map !== undefined ? "embedding_init_map" : "embedding_init";
      report.add({
        rule: "path-not-found",
        span: spanOf(root, [at], "value"),
        message: `The zip-tie map ${shortened(map)} is not there; extending the vocabulary writes it beside the tokenizer. Name another with \`embedding_init_map\`.`,
      });
    }
  }
  return report.findings;
}

/**
 * Where the zip-tie map is read from.
 * @returns absolute; null when the tokenizer is not known
 */
export function zipTieMapPath(
  written: string | undefined,
  folder: string,
  tokenizer: string | null,
  files: ConfigFiles,
): string | null {
  if (written !== undefined) return resolve(folder, written);
  if (tokenizer === null) return null;
  return join(files.kind(tokenizer) === "directory" ? tokenizer : dirname(tokenizer), "zip-tie.json");
}

interface ModelFacts {
  /** As messages call it. */
  name: string;
  isTied: boolean;
  /** Rows of the embedding; null: as many as the tokenizer has. */
  vocabulary: number | null;
  /** Tokens of its own tokenizer, which may be fewer; null: not known, or not asked for by `embedding_init`. */
  tokens: number | null;
}

/** Whether a tokenizer of that size has tokens that the model was not trained with. */
function isGrown(size: number, { vocabulary, tokens }: ModelFacts): boolean {
  return size > Math.min(vocabulary ?? size, tokens ?? size);
}

/** @returns null when the model is not there, or cannot be told before it is made */
function modelFacts(
  reading: ConfigReading,
  files: ConfigFiles,
  seen: ReadonlySet<string> = new Set(),
): ModelFacts | null {
  const { partial, path } = reading;
  if (partial?.model) {
    const { tie_word_embeddings: isTied, vocab_size } = partial.model;
    return { name: "`model`", isTied, vocabulary: vocab_size ?? null, tokens: null };
  }
  const written = partial?.model_name_or_path;
  if (written === undefined) return null;
  if (isConfigPath(written)) return factsOfConfig(written, reading, files, seen);
  const directory = resolve(dirname(path), written);
  const text = files.readText(join(directory, "config.json"));
  if (text === null) return null;
  let config: { tie_word_embeddings?: unknown; vocab_size?: unknown } | null;
  try {
    config = JSON.parse(text);
  } catch {
    return null;
  }
  return {
    name: `\`${shortened(written)}\``,
    isTied: config?.tie_word_embeddings === true,
    vocabulary: typeof config?.vocab_size === "number" ? config.vocab_size : null,
    tokens: partial?.embedding_init === undefined ? null : tokenizerSize(directory, files),
  };
}

/** Of the model that another config makes, by what that config says. */
function factsOfConfig(
  written: string,
  { path }: ConfigReading,
  files: ConfigFiles,
  seen: ReadonlySet<string>,
): ModelFacts | null {
  const at = resolve(dirname(path), written);
  const text = seen.has(at) ? null : files.readText(at);
  if (text === null) return null;
  const reading = readConfig(text, at);
  const facts = modelFacts(reading, files, new Set([...seen, path]));
  if (facts === null) return null;
  const tokenizer = tokenizerPathOf(reading, files);
  const size = tokenizer === null ? null : tokenizerSize(tokenizer, files);
  const hasGrown = reading.partial?.embedding_init !== undefined;
  const rows =
    facts.vocabulary === null || size === null
      ? size
      : hasGrown
        ? Math.max(facts.vocabulary, size)
        : facts.vocabulary;
  return { name: `\`${shortened(written)}\`'s model`, isTied: facts.isTied, vocabulary: rows, tokens: size };
}
