import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { diskFiles } from "../../configs/config-files";
import { readConfig } from "../../configs/read-config";
import { resolveTrainingPlan } from "../../configs/resolve-plan";
import type { Template } from "../../templates/template";
import { holdsConversations } from "../encode-dataset";
import { architectureSchema } from "../engine-plan";
import { extendsVocabulary, mergeSource } from "../export";
import { loadTokenizerAt, parseTemplate } from "../inputs";
import { hasTokenizer, mainTokenizerFile, readModelFiles } from "../model-files";
import { hasCode, Refused } from "../refused";
import { checkpointSteps, exists, type RunRecord, runFiles } from "../run-directory";
import { changedSources, readSources } from "../run-sources";
import type { AnsweringModel, Asked } from "./answering-model";

/** The step that a directory's path says it is a checkpoint of: `RUN/checkpoints/step-N`. */
export function checkpointStep(path: string): number | undefined {
  if (basename(dirname(path)) !== runFiles.checkpoints) return undefined;
  const step = /^step-(\d+)$/.exec(basename(path))?.[1];
  return step === undefined ? undefined : Number(step);
}

/** The parts of `plan.json` that matter here; the engine reads it whole. */
const planSchema = z.object({
  stage: z.enum(["pretrain", "sft"]),
  model: z.union([
    z.object({ path: z.string(), vocabulary: z.object({}).loose().nullish() }),
    z.object({ architecture: architectureSchema.pick({ max_position_embeddings: true }).loose() }),
  ]),
  tokenizer_files: z.array(z.string()),
  adapter: z.object({}).loose().nullable(),
});

type Plan = z.infer<typeof planSchema>;

/**
 * A run's model, asked as it was trained. What the run directory keeps goes before everything else: files that a run was made
 * from may have moved since.
 * @param step of one of its checkpoints; default: what is newest
 * @throws Refused
 */
export async function trainedModel(
  run: string,
  record: RunRecord,
  { byTemplate, signal }: Asked,
  step?: number,
): Promise<AnsweringModel> {
  const plan = await planOf(run, record);
  const weights =
    step === undefined ? await newestWeights(run, record, plan) : await weightsAt(run, record, plan, step);
  const own = join(run, plan.adapter === null ? "model" : "adapter");
  const ownTokenizer = await hasTokenizer(own);
  // Its own files are what they were; others may have been changed since.
  const foreign = [
    ...(ownTokenizer ? [] : ["tokenizer_name_or_path"]),
    ...(plan.adapter === null ? [] : ["model_name_or_path", "embedding_init_map"]),
  ];
  const changes = await changedSources(run, foreign, signal);
  if (changes.length > 0) {
    throw new Refused(
      `${record.name} was trained with other files than there are now: ${changes.join("; ")}. Put them back, or train it again.`,
    );
  }
  const tokenizer = await loadTokenizerAt(ownTokenizer ? own : await tokenizerPath(run, record, plan));
  const template = byTemplate && plan.stage === "sft" ? await templateOf(run, record) : null;
  const longest =
    "architecture" in plan.model
      ? plan.model.architecture.max_position_embeddings
      : (await readModelFiles(weights.directory ?? plan.model.path)).shape.max_position_embeddings;
  return {
    name: weights.step === undefined ? record.name : `${record.name}, step ${weights.step}`,
    engineArguments: weights.engineArguments,
    tokenizer,
    template,
    templateLeftOut: !byTemplate,
    textIs: template !== null && (await trainedOnTurns(run, signal)) ? "turn" : "beginning",
    beginsAs: "row",
    longest,
    stopIds: [],
  };
}

async function planOf(run: string, { name }: RunRecord): Promise<Plan> {
  const path = join(run, runFiles.plan);
  try {
    return planSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (!hasCode(error, "ENOENT")) {
      throw new Refused(`${path} is no training plan: ${(error as Error).message}`);
    }
    throw new Refused(
      (await extendsVocabulary(run))
        ? `${name} extends a vocabulary, so it has no model. Train one with that tokenizer.`
        : `${name} has no model yet: its data is being prepared, or that was broken off.`,
    );
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
async function newestWeights(run: string, { name }: RunRecord, { adapter }: Plan): Promise<Weights> {
  const model = join(run, "model");
  if (adapter === null && (await exists(model))) {
    return { engineArguments: ["--model", model], directory: model };
  }
  const step = (await checkpointSteps(run)).at(-1);
  if (step !== undefined) return { engineArguments: ["--run", run], step };
  if (adapter !== null && (await exists(join(run, "adapter")))) return adapterIn(run);
  throw new Refused(
    `${name} has no checkpoint yet: the first is written after save_steps, or when the run is stopped. ` +
      `${join(run, runFiles.events)} says how far it is.`,
  );
}

/** One checkpoint: an adapter is a directory as PEFT has them; anything else can be read of the newest alone. */
async function weightsAt(
  run: string,
  { name }: RunRecord,
  { adapter, model }: Plan,
  step: number,
): Promise<Weights> {
  const steps = await checkpointSteps(run);
  if (!steps.includes(step)) throw new Refused(`${name} has no whole checkpoint of step ${step}.`);
  // A base that is given more tokens is written at the run's end.
  const isGrowing = "path" in model && model.vocabulary && !(await exists(join(run, "base")));
  if (adapter !== null && !isGrowing) {
    return { ...(await adapterIn(join(run, runFiles.checkpoints, `step-${step}`))), step };
  }
  if (step === steps.at(-1)) return { engineArguments: ["--run", run], step };
  const why = adapter === null ? "trains every weight" : "has not written its base with the new tokens yet";
  throw new Refused(
    `${name} ${why}, so only its newest checkpoint, of step ${steps.at(-1)}, can be asked. Ask ${run}.`,
  );
}

/** @param path a run, or an adapter's directory */
async function adapterIn(path: string): Promise<Weights> {
  const { model, adapter } = await mergeSource(path);
  return { engineArguments: ["--model", model, "--adapter", adapter], directory: model };
}

/** Where the tokenizer lies that a run was trained with. Only one whose files have names of their own is looked up by the config. */
async function tokenizerPath(run: string, record: RunRecord, plan: Plan): Promise<string> {
  const file = mainTokenizerFile(plan.tokenizer_files);
  const folder = file === undefined ? undefined : dirname(file);
  const text = await readFile(join(run, runFiles.config), "utf8").catch(() => "");
  // Its paths are relative to where it came from.
  const named = resolveTrainingPlan(readConfig(text, record.config), diskFiles).plan?.tokenizer.path;
  if (named !== undefined && (folder === undefined || dirname(named) === folder)) return named;
  if (folder !== undefined) return folder;
  throw new Refused(
    `The tokenizer of ${record.name} is not found: ${join(run, runFiles.config)} names it, but what that config names is not all there any more.`,
  );
}

async function templateOf(run: string, { name }: RunRecord): Promise<Template> {
  const path = join(run, runFiles.template);
  try {
    return parseTemplate(await readFile(path, "utf8"), path);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(`The chat template of ${name} cannot be read: ${(error as Error).message}`);
  }
}

/** Whether any of its rows were conversations: those of prompt and completion that are texts are trained without the template. */
async function trainedOnTurns(run: string, signal: AbortSignal): Promise<boolean> {
  const datasets = (await readSources(run)).filter(({ key }) => key === "dataset");
  for (const { path, conversations } of datasets) {
    if (conversations ?? (await looksLikeTurns(path, signal))) return true;
  }
  return datasets.length === 0;
}

const looksLikeTurns = (path: string, signal: AbortSignal): Promise<boolean> =>
  holdsConversations(path, signal).catch((error: unknown) => {
    // Data that has gone says nothing; most have conversations.
    if (error instanceof Refused) return true;
    throw error;
  });
