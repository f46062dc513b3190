import { readFile } from "node:fs/promises";
import { diskFiles } from "../configs/config-files";
import { readConfig } from "../configs/read-config";
import { resolveTrainingPlan } from "../configs/resolve-plan";
import { chatTemplateOf } from "../configs/sources";
import type { TrainingPlan } from "../configs/training-plan";
import { loadBuiltInTemplate, loadTemplate, type Template } from "../templates/template";
import { type LoadedTokenizer, loadTokenizer } from "../tokenizers/tokenizer";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import type { EnginePlan } from "./engine-plan";
import { readModelFiles, tokenizerFiles } from "./model-files";
import { newestModelOf } from "./model-source";
import { type LlamaShape, targetModules } from "./parameters";
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
  shape: LlamaShape;
  adapter: EnginePlan["adapter"];
}

/** @throws Refused saying what is missing or does not fit together */
export async function loadInputs(plan: TrainingPlan): Promise<TrainingInputs> {
  const tokenizer = await loadTokenizerOf(plan);
  const { model, shape, modelFiles } = await modelOf(plan, tokenizer);
  if (tokenizer.vocabSize > shape.vocab_size) {
    throw new Refused(
      `The tokenizer ${plan.tokenizer.path} has ${tokenizer.vocabSize} tokens, but the model's embedding has only ${shape.vocab_size} rows. ` +
        "Use the model's own tokenizer.",
    );
  }
  if (plan.max_length > shape.max_position_embeddings) {
    throw new Refused(
      `max_length is ${plan.max_length}, but the model is made for at most ${shape.max_position_embeddings} tokens (max_position_embeddings).`,
    );
  }
  const { adapter } = plan;
  return {
    tokenizer,
    tokenizerFiles: await tokenizerFiles(plan.tokenizer.path),
    ...(await templateOf(plan)),
    model,
    modelFiles,
    shape,
    adapter: adapter && { ...adapter, target_modules: targetModules(shape, adapter.target_modules) },
  };
}

async function loadTokenizerOf(plan: TrainingPlan): Promise<LoadedTokenizer> {
  try {
    return await loadTokenizer(plan.tokenizer.path);
  } catch (error) {
    if (error instanceof TokenizerError) throw new Refused(error.message);
    throw error;
  }
}

async function modelOf(
  plan: TrainingPlan,
  tokenizer: LoadedTokenizer,
): Promise<Pick<TrainingInputs, "model" | "shape" | "modelFiles">> {
  const source = plan.model;
  if (source.kind === "architecture") {
    const { vocab_size, ...rest } = source.architecture;
    const architecture = {
      ...rest,
      vocab_size: vocab_size ?? tokenizer.vocabSize,
      bos_token_id: tokenizer.special.bos?.id ?? null,
      eos_token_id: tokenizer.special.eos?.id ?? null,
    };
    const shape = { ...architecture, head_dim: rest.hidden_size / rest.num_attention_heads };
    return { model: { architecture, seed: source.seed }, shape, modelFiles: [] };
  }
  const path =
    source.kind === "directory" ? source.path : await newestModelOf(await referencedPlan(source.path));
  const { shape, files } = await readModelFiles(path);
  return { model: { path }, shape, modelFiles: files };
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

async function templateOf(plan: TrainingPlan): Promise<Pick<TrainingInputs, "template" | "templateFile">> {
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
  try {
    return { template: loadTemplate(found.source, found.path), templateFile: found.path };
  } catch (error) {
    throw new Refused(`The template ${found.path} is not valid: ${(error as Error).message}`);
  }
}
