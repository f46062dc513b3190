import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import type { ModelShape } from "./parameters";
import { baseParameters } from "./parameters";
import { hasCode, Refused } from "./refused";
import { readSafetensorsHeader, type TensorEntry } from "./safetensors-header";

/** What an HF model directory says of itself without its weights being read. */
export interface ModelFiles {
  shape: ModelShape;
  dtype: StoredDtype;
  /** `config.json` and the safetensors files, absolute. */
  files: string[];
}

/** bfloat16 when every weight is; float16 and mixtures are widened to float32. */
export type StoredDtype = "float32" | "bfloat16";

/** What of a model's files decides how it is held, and how much room loading it takes. */
export interface StoredModel {
  dtype: StoredDtype;
  /** Rows that embedding and head have in the files: fewer than the model's when its vocabulary grows. */
  vocab_size: number;
}

const count = z.number().int().positive();

/** The keys of HF's configs that decide shapes, with HF's defaults. */
const hfConfigSchema = z.object({
  model_type: z.string(),
  attention_bias: z.boolean().nullish(),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().nullish(),
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  vocab_size: count,
  max_position_embeddings: count.default(2048),
  tie_word_embeddings: z.boolean().default(false),
  quantization_config: z
    .object({ quant_method: z.string().nullish(), load_in_4bit: z.boolean().nullish() })
    .nullish(),
});

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Reads `config.json` and the headers of the weights, and holds each against the other.
 * @throws Refused naming the file, and the tensor where it is one, when the engine could not load the model
 */
export async function readModelFiles(directory: string): Promise<ModelFiles> {
  const configFile = join(directory, "config.json");
  const parsed = hfConfigSchema.safeParse(
    await readJson(configFile, `${directory} is no HF model directory`),
  );
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Refused(
      `${configFile}: ${issue?.path.join(".") ?? "the file"}: ${issue?.message ?? "is no model config"}.`,
    );
  }
  const config = parsed.data;
  const type = modelTypes.find((each) => each === config.model_type);
  if (type === undefined) {
    throw new Refused(
      `${configFile} describes a ${config.model_type} model; the engine trains ${modelTypes.join(", ")}.`,
    );
  }
  if (config.head_dim == null && config.hidden_size % config.num_attention_heads !== 0) {
    throw new Refused(
      `${configFile}: hidden_size ${config.hidden_size} is no multiple of num_attention_heads ${config.num_attention_heads}.`,
    );
  }
  const shape: ModelShape = {
    ...config,
    model_type: type,
    attention_bias: type === "qwen2" || (type === "llama" && config.attention_bias === true),
    max_position_embeddings: Math.min(config.max_position_embeddings, windowOf(type, config)),
    num_key_value_heads: config.num_key_value_heads ?? config.num_attention_heads,
    head_dim: config.head_dim ?? config.hidden_size / config.num_attention_heads,
  };
  const weights = await weightFiles(directory);
  const tensors = new Map<string, TensorEntry & { file: string }>();
  for (const file of weights) {
    for (const [name, entry] of await readHeader(file)) tensors.set(name, { ...entry, file });
  }
  for (const { name, shape: expected } of baseParameters(shape)) {
    const found = tensors.get(name);
    if (found === undefined)
      throw new Refused(`The model at ${directory} has no tensor ${name}, which its config.json calls for.`);
    const isQuantised = config.quantization_config?.load_in_4bit === true && found.dtype === "U8";
    const fits = isQuantised
      ? product(found.shape) === Math.ceil(product(expected) / 2)
      : found.shape.join() === expected.join();
    if (!fits) {
      throw new Refused(
        `${found.file}: tensor ${name} has the shape [${found.shape.join(", ")}], but config.json calls for [${expected.join(", ")}].`,
      );
    }
  }
  // Beside the packed codes of bitsandbytes lie its scales and tables, which are float32 whatever the weights are.
  const stored = baseParameters(shape).map(({ name }) => tensors.get(name)?.dtype);
  const isBfloat16 = stored.every((dtype) => dtype === "BF16" || dtype === "U8");
  return { shape, dtype: isBfloat16 ? "bfloat16" : "float32", files: [configFile, ...weights] };
}

const product = (numbers: readonly number[]) => numbers.reduce((result, n) => result * n, 1);

const modelTypes = ["llama", "mistral", "qwen2"] as const;

/** The engine attends to every token before, so a sequence may be no longer than the window of a model that attends within one. */
function windowOf(type: ModelShape["model_type"], config: z.output<typeof hfConfigSchema>): number {
  const isUsed = type === "mistral" || (type === "qwen2" && config.use_sliding_window === true);
  return (isUsed ? config.sliding_window : null) ?? Number.POSITIVE_INFINITY;
}

async function weightFiles(directory: string): Promise<string[]> {
  const single = join(directory, "model.safetensors");
  if (await isFile(single)) return [single];
  const indexFile = join(directory, "model.safetensors.index.json");
  if (!(await isFile(indexFile))) {
    throw new Refused(
      `${directory} has no weights: neither model.safetensors nor model.safetensors.index.json.`,
    );
  }
  const index = indexSchema.safeParse(await readJson(indexFile, `${directory} has a broken index`));
  if (!index.success) throw new Refused(`${indexFile} has no weight_map.`);
  const names = [...new Set(Object.values(index.data.weight_map))].sort();
  const outside = names.find((name) => basename(name) !== name);
  if (outside !== undefined)
    throw new Refused(`${indexFile} names ${outside}, which is not a file beside it.`);
  return names.map((name) => join(directory, name));
}

async function readHeader(file: string): Promise<Map<string, TensorEntry>> {
  try {
    return await readSafetensorsHeader(file);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(`The weights ${file} cannot be read: ${(error as Error).message}`);
  }
}

async function readJson(file: string, otherwise: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new Refused(`${otherwise}: ${file} cannot be read (${(error as Error).message}).`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refused(`${file} is not JSON: ${(error as Error).message}`);
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** Files that make a tokenizer in HF's sense; those that are there go along with a trained model. */
const tokenizerFileNames = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
];

/** @param path a tokenizer's directory, or its `tokenizer.json` */
export async function tokenizerFiles(path: string): Promise<string[]> {
  const directory = (await isFile(path)) ? dirname(path) : path;
  const files: string[] = [];
  for (const name of tokenizerFileNames) {
    if (await isFile(join(directory, name))) files.push(join(directory, name));
  }
  return files;
}

/** Whether a directory has the file that makes a tokenizer by itself. */
export const hasTokenizer = async (directory: string): Promise<boolean> =>
  mainTokenizerFile(await tokenizerFiles(directory)) !== undefined;

/** The file among a tokenizer's that makes one by itself. */
export const mainTokenizerFile = (files: readonly string[]): string | undefined =>
  files.find((file) => ["tokenizer.json", "tokenizer.model"].includes(basename(file)));
