import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { diskFiles } from "../../configs/config-files";
import { readConfig } from "../../configs/read-config";
import { resolveTrainingPlan } from "../../configs/resolve-plan";
import type { TrainingPlan } from "../../configs/training-plan";
import { loadTemplate, type Template } from "../../templates/template";
import { isTemplateError } from "../../templates/template-error";
import { type LoadedTokenizer, loadTokenizer } from "../../tokenizers/tokenizer";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import { formatOf } from "../encode-dataset";
import { architectureSchema } from "../engine-plan";
import { mergeSource } from "../export";
import { loadTemplateOf } from "../inputs";
import { readModelFiles } from "../model-files";
import { hasCode, Refused } from "../refused";
import { checkpointSteps, exists, type RunRecord, readRunRecord, runFiles } from "../run-directory";
import { changedSources } from "../run-sources";

/** A model that can be given prompts, and how they are put to it. */
export interface AnsweringModel {
  /** For a person: `sft-1, step 154`. */
  readonly name: string;
  /** Which model, for the engine. */
  readonly engineArguments: readonly string[];
  readonly tokenizer: LoadedTokenizer;
  /** null: conversations cannot be put to it. */
  readonly template: Template | null;
  /** Whether a prompt that is a plain text is a user's turn, or a text to be continued. */
  readonly textIs: "turn" | "beginning";
  /** Whether a text begins with BOS as a trained row does, or with what the tokenizer adds by itself. */
  readonly beginsAs: "row" | "tokenizer";
  /** Tokens of the longest text, prompt and answer together. */
  readonly longest: number;
  /** Ids that its own files say end a text. */
  readonly stopIds: readonly number[];
}

/**
 * What answers: a run by its newest checkpoint, with the tokenizer and the chat template it was trained with; a Hugging Face
 * model directory, or a PEFT adapter directory with its base, with what lies there.
 * @param path absolute
 * @throws Refused
 */
export async function answeringModel(path: string, signal: AbortSignal): Promise<AnsweringModel> {
  const run = await readRunRecord(path);
  if (run !== undefined) return trainedModel(path, run, signal);
  if (await exists(join(path, "adapter_config.json"))) {
    const { model, adapter } = await mergeSource(path);
    const tokenizer = await tokenizerIn((await hasTokenizer(adapter)) ? adapter : model);
    return modelIn(model, basename(path), ["--model", model, "--adapter", adapter], tokenizer);
  }
  if (!(await exists(join(path, "config.json")))) {
    throw new Refused(
      `${path} is neither a run nor a model: it has no ${runFiles.run}, no config.json and no adapter_config.json.`,
    );
  }
  return modelIn(path, basename(path), ["--model", path], await tokenizerIn(path));
}

async function modelIn(
  model: string,
  name: string,
  engineArguments: readonly string[],
  tokenizer: LoadedTokenizer,
): Promise<AnsweringModel> {
  const { shape } = await readModelFiles(model);
  const source = tokenizer.chatTemplate;
  const template = source === undefined ? null : parsedTemplate(source, `${tokenizer.path}'s chat template`);
  return {
    name,
    engineArguments,
    tokenizer,
    template,
    textIs: template === null ? "beginning" : "turn",
    beginsAs: "tokenizer",
    longest: shape.max_position_embeddings,
    stopIds: await stopIdsIn(model),
  };
}

/** The parts of `plan.json` that matter here; the engine reads it whole. */
const planSchema = z.object({
  model: z.union([
    z.object({ path: z.string() }),
    z.object({ architecture: architectureSchema.pick({ max_position_embeddings: true }).loose() }),
  ]),
  adapter: z.object({}).loose().nullable(),
});

async function trainedModel(path: string, record: RunRecord, signal: AbortSignal): Promise<AnsweringModel> {
  const { plan: trained, stage } = await configOf(path, record);
  if (stage === "vocabulary") {
    throw new Refused(
      `${record.name} extends a vocabulary, so it has no model. Train one with that tokenizer.`,
    );
  }
  if (trained === null) {
    throw new Refused(`${join(path, runFiles.config)}, the config of ${record.name}, cannot be read.`);
  }
  const plan = await planOf(path, record);
  const weights = await weightsOf(path, record, plan.adapter !== null);
  const own = join(path, plan.adapter === null ? "model" : "adapter");
  const ownTokenizer = await hasTokenizer(own);
  // Its own files are what they were; others may have been changed since.
  const foreign = [
    ...(ownTokenizer ? [] : ["tokenizer_name_or_path"]),
    ...((await exists(join(path, runFiles.template))) ? [] : ["chat_template_path"]),
    ...(plan.adapter === null ? [] : ["model_name_or_path", "embedding_init_map"]),
  ];
  const changes = await changedSources(path, foreign, signal);
  if (changes.length > 0) {
    throw new Refused(
      `${record.name} was trained with other files than there are now: ${changes.join("; ")}. Put them back, or train it again.`,
    );
  }
  const tokenizer = await tokenizerIn(ownTokenizer ? own : trained.tokenizer.path);
  const template = await templateOf(path, trained);
  const longest =
    "architecture" in plan.model
      ? plan.model.architecture.max_position_embeddings
      : (await readModelFiles(weights.directory ?? plan.model.path)).shape.max_position_embeddings;
  return {
    name: weights.step === undefined ? record.name : `${record.name}, step ${weights.step}`,
    engineArguments: weights.engineArguments,
    tokenizer,
    template,
    textIs: template !== null && (await trainsTurns(trained, signal)) ? "turn" : "beginning",
    beginsAs: "row",
    longest,
    stopIds: [],
  };
}

async function configOf(
  run: string,
  { config }: RunRecord,
): Promise<{ plan: TrainingPlan | null; stage: string | undefined }> {
  const text = await readFile(join(run, runFiles.config), "utf8").catch(() => "");
  // Its paths are relative to where it came from.
  const reading = readConfig(text, config);
  return { plan: resolveTrainingPlan(reading, diskFiles).plan, stage: reading.config?.stage };
}

async function planOf(run: string, { name }: RunRecord): Promise<z.infer<typeof planSchema>> {
  const path = join(run, runFiles.plan);
  try {
    return planSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      throw new Refused(`${name} has no model yet: its data is being prepared, or that was broken off.`);
    }
    throw new Refused(`${path} is no training plan: ${(error as Error).message}`);
  }
}

interface Weights {
  engineArguments: string[];
  /** Of a checkpoint. */
  step?: number;
  /** HF directory, when that is what is used. */
  directory?: string;
}

/** A model that was trained whole stands by itself; an adapter is put on its base as that was trained, in 4 bits if so. */
async function weightsOf(run: string, { name }: RunRecord, hasAdapter: boolean): Promise<Weights> {
  const model = join(run, "model");
  if (!hasAdapter && (await exists(model))) return { engineArguments: ["--model", model], directory: model };
  const step = (await checkpointSteps(run)).at(-1);
  if (step !== undefined) return { engineArguments: ["--run", run], step };
  if (hasAdapter && (await exists(join(run, "adapter")))) {
    const source = await mergeSource(run);
    return {
      engineArguments: ["--model", source.model, "--adapter", source.adapter],
      directory: source.model,
    };
  }
  throw new Refused(
    `${name} has no checkpoint yet: the first is written after save_steps, or when the run is stopped. ` +
      `${join(run, runFiles.events)} says how far it is.`,
  );
}

/** The run's own copy; a run of an older release goes by its config. */
async function templateOf(run: string, plan: TrainingPlan): Promise<Template | null> {
  if (plan.chat_template === null) return null;
  const path = join(run, runFiles.template);
  const source = await readFile(path, "utf8").catch(() => undefined);
  return source === undefined ? (await loadTemplateOf(plan)).template : parsedTemplate(source, path);
}

/** Whether any of the rows were conversations: rows of prompt and completion are trained without the template. */
async function trainsTurns(plan: TrainingPlan, signal: AbortSignal): Promise<boolean> {
  for (const { path, format } of plan.dataset) {
    const rows =
      format ??
      (await formatOf(path, signal).catch((error: unknown) => {
        // Data that has gone says nothing; most have conversations.
        if (error instanceof Refused) return "messages" as const;
        throw error;
      }));
    if (rows !== "prompt-completion" && rows !== "text") return true;
  }
  return false;
}

function parsedTemplate(source: string, name: string): Template {
  try {
    return loadTemplate(source, name);
  } catch (error) {
    if (!isTemplateError(error)) throw error;
    throw new Refused(`${name} is not valid: ${error.message}`);
  }
}

async function tokenizerIn(path: string): Promise<LoadedTokenizer> {
  try {
    return await loadTokenizer(path);
  } catch (error) {
    if (error instanceof TokenizerError) throw new Refused(error.message);
    throw error;
  }
}

const hasTokenizer = async (directory: string): Promise<boolean> =>
  (await exists(join(directory, "tokenizer.json"))) || (await exists(join(directory, "tokenizer.model")));

const idSchema = z.number().int().nonnegative();
const eosSchema = z.object({ eos_token_id: z.union([idSchema, z.array(idSchema)]).nullish() });

/** `eos_token_id` of config.json and generation_config.json, which transformers stops at. */
async function stopIdsIn(model: string): Promise<number[]> {
  const ids: number[] = [];
  for (const name of ["config.json", "generation_config.json"]) {
    const path = join(model, name);
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    try {
      ids.push(...[eosSchema.parse(JSON.parse(text)).eos_token_id ?? []].flat());
    } catch (error) {
      throw new Refused(`${path}: its eos_token_id cannot be read: ${(error as Error).message}`);
    }
  }
  return ids;
}
