import { readFile } from "node:fs/promises";
import { diskFiles } from "../configs/config-files";
import { linearModules } from "../configs/modules";
import { readConfig } from "../configs/read-config";
import { resolveTrainingPlan } from "../configs/resolve-plan";
import { chatTemplateOf } from "../configs/sources";
import type { TrainingPlan } from "../configs/training-plan";
import { loadBuiltInTemplate, loadTemplate, type Template } from "../templates/template";
import { isTemplateError } from "../templates/template-error";
import { type LoadedTokenizer, loadTokenizer } from "../tokenizers/tokenizer";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import { tokensBeforeExtension } from "./base-vocabulary";
import type { EnginePlan } from "./engine-plan";
import { readModelFiles, type StoredModel, tokenizerFiles } from "./model-files";
import { newestModelOf } from "./model-source";
import type { ModelShape } from "./parameters";
import { Refused } from "./refused";

/** What a plan names, found and loaded: everything but the data. */
export interface TrainingInputs {
  tokenizer: LoadedTokenizer;
  /** Absolute. */
  tokenizerFiles: string[];
  /** null for plain text. */
  template: Template | null;
  /** The chat template's file, when it has one of its own. */
  templateFile: string | null;
  model: EnginePlan["model"];
  /** `config.json` and the weights; none for random initialisation. */
  modelFiles: string[];
  /** With the vocabulary as it is trained. */
  shape: ModelShape;
  /** How the weights are stored in the model's files; float32 for random initialisation. */
  stored: StoredModel;
  adapter: EnginePlan["adapter"];
}

/** @throws Refused saying what is missing or does not fit together */
export async function loadInputs(plan: TrainingPlan): Promise<TrainingInputs> {
  const tokenizer = await loadTokenizerAt(plan.tokenizer.path);
  const { model, shape, modelFiles, stored } = await modelOf(plan, tokenizer);
  if (plan.max_length > shape.max_position_embeddings) {
    throw new Refused(
      `max_length is ${plan.max_length}, but the model is made for at most ${shape.max_position_embeddings} tokens (max_position_embeddings).`,
    );
  }
  const { adapter } = plan;
  return {
    tokenizer,
    tokenizerFiles: await tokenizerFiles(plan.tokenizer.path),
    ...(await loadTemplateOf(plan)),
    model,
    modelFiles,
    shape,
    stored,
    adapter: adapter && engineAdapter(adapter),
  };
}

/** @throws Refused */
export async function loadTokenizerAt(path: string): Promise<LoadedTokenizer> {
  try {
    return await loadTokenizer(path);
  } catch (error) {
    if (error instanceof TokenizerError) throw new Refused(error.message);
    throw error;
  }
}

async function modelOf(
  plan: TrainingPlan,
  tokenizer: LoadedTokenizer,
): Promise<Pick<TrainingInputs, "model" | "shape" | "modelFiles" | "stored">> {
  const source = plan.model;
  if (source.kind === "architecture") {
    const { vocab_size, bos_token_id: bos, eos_token_id: eos, ...rest } = source.architecture;
    const architecture = {
      ...rest,
      vocab_size: vocab_size ?? tokenizer.vocabSize,
      bos_token_id: bos === undefined ? (tokenizer.special.bos?.id ?? null) : bos,
      eos_token_id: eos === undefined ? (tokenizer.special.eos?.id ?? null) : eos,
    };
    const missing = missingRows(plan, tokenizer, architecture.vocab_size);
    if (missing !== null) throw new Refused(`${missing} Leave out the model's vocab_size.`);
    return {
      model: { architecture, seed: source.seed },
      shape: architecture,
      modelFiles: [],
      stored: { dtype: "float32", vocab_size: architecture.vocab_size },
    };
  }
  const path =
    source.kind === "directory" ? source.path : await newestModelOf(await referencedPlan(source.path));
  const { shape, files, dtype } = await readModelFiles(path);
  const rows = shape.vocab_size;
  const stored = { dtype, vocab_size: rows };
  const missing = missingRows(plan, tokenizer, rows);
  if (missing !== null && plan.vocabulary === null) {
    throw new Refused(
      `${missing} Use the model's own tokenizer, or say with embedding_init how the new rows begin.`,
    );
  }
  if (plan.vocabulary === null) {
    return { model: { path, vocabulary: null }, shape, modelFiles: files, stored };
  }
  const before = await tokensBeforeExtension(path, tokenizer);
  const baseSize = before !== null && before <= rows ? before : null;
  if (missing === null && baseSize === null) {
    throw new Refused(
      `embedding_init would be ignored: the model ${path} has a row for each token of the tokenizer ${plan.tokenizer.path}, and the tokenizer beside it, if there is one, does not tell which of them are new. Leave embedding_init out.`,
    );
  }
  const size = tokenizer.vocabSize;
  const { map } = plan.vocabulary;
  return {
    model: { path, vocabulary: { ...plan.vocabulary, size, base_size: baseSize, seed: plan.seed } },
    shape: { ...shape, vocab_size: Math.max(size, rows) },
    modelFiles: map === null ? files : [...files, map],
    stored,
  };
}

/** In words, when the tokenizer has tokens that the embedding has no row for. */
function missingRows(plan: TrainingPlan, { vocabSize }: LoadedTokenizer, rows: number): string | null {
  if (vocabSize <= rows) return null;
  const n = (count: number) => count.toLocaleString("en");
  return `The tokenizer ${plan.tokenizer.path} has ${n(vocabSize)} tokens, but the model's embedding has only ${n(rows)} rows: ${n(vocabSize - rows)} tokens have none.`;
}

function engineAdapter(adapter: NonNullable<TrainingPlan["adapter"]>): EnginePlan["adapter"] {
  const targets = adapter.target_modules;
  return {
    ...adapter,
    target_modules: targets === "all-linear" ? [...linearModules] : [...targets],
    modules_to_save: [...adapter.modules_to_save],
  };
}

/** The plan of the config that a model comes from; what stands in the way of running that one does not matter here. */
async function referencedPlan(path: string): Promise<TrainingPlan> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Refused(
      `The config ${path}, whose model is to be trained, cannot be read: ${(error as Error).message}`,
    );
  }
  const { plan } = resolveTrainingPlan(readConfig(text, path), diskFiles);
  if (plan === null)
    throw new Refused(`The config ${path}, whose model is to be trained, is not valid. Check it first.`);
  return plan;
}

/** The chat template that a plan names; null for plain text. @throws Refused */
async function loadTemplateOf(
  plan: TrainingPlan,
): Promise<Pick<TrainingInputs, "template" | "templateFile">> {
  const source = plan.chat_template;
  if (source === null) return { template: null, templateFile: null };
  if (source.kind === "builtin") return { template: loadBuiltInTemplate(source.name), templateFile: null };
  const found =
    source.kind === "file"
      ? { path: source.path, source: await readFile(source.path, "utf8") }
      : chatTemplateOf(plan.tokenizer.path, diskFiles);
  if (found === null) {
    throw new Refused(
      `The tokenizer ${plan.tokenizer.path} carries no chat template; name one with chat_template_path.`,
    );
  }
  return { template: parseTemplate(found.source, found.path), templateFile: found.path };
}

/** @param path of its file, for messages. @throws Refused */
export function parseTemplate(source: string, path: string): Template {
  try {
    return loadTemplate(source, path);
  } catch (error) {
    if (!isTemplateError(error)) throw error;
    throw new Refused(`The template ${path} is not valid: ${error.message}`);
  }
}
