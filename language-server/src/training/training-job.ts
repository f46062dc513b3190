import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { diskFiles } from "../configs/config-files";
import { readConfig } from "../configs/read-config";
import type { TrainingPlan } from "../configs/training-plan";
import type { GenerationEvent, GenerationSummary, PlanSummary, PromptSource, StartedRun } from "../protocol";
import { runnableConfig, runnableVocabulary } from "../rules/config-rules";
import type { RuleSeverities } from "../rules/severity";
import { type EngineLocation, startEngine } from "./engine";
import { type GenerationRequest, generate } from "./generation/generate";
import { readPrompts } from "./generation/prompts";
import { type PreparationHooks, planTraining, prepareRun } from "./prepare";
import { Refused } from "./refused";
import { runVocabularyExtension, vocabularyFiles } from "./vocabulary/extend-vocabulary";

/** A config to be planned or trained, as it stands in the editor or on the disk. */
export interface ConfigText {
  /** Absolute. */
  path: string;
  text: string;
  /** The settings' severities of lint rules; the config's own go before them. */
  severities: RuleSeverities;
}

/** Work that reads whole datasets and renders templates. Plain data: it may be sent to another process. */
export type TrainingJob =
  | { task: "plan"; config: ConfigText }
  | { task: "start"; config: ConfigText; engine: EngineLocation }
  | {
      task: "generate";
      request: Omit<GenerationRequest, "prompts"> & { prompts: PromptSource };
      engine: EngineLocation;
    };

export interface JobHooks extends PreparationHooks {
  onGenerated?: (event: GenerationEvent) => void;
}

type Started = StartedRun & Required<Pick<StartedRun, "warnings">>;

export interface TrainingJobResult {
  plan: PlanSummary;
  start: Started;
  generate: GenerationSummary;
}

/** @throws Refused with the place of the first error that stands in the way */
export function planOf({ path, text, severities }: ConfigText): TrainingPlan {
  const runnable = runnableConfig(text, path, diskFiles, severities);
  if ("plan" in runnable) return runnable.plan;
  throw new Refused(runnable.refused, { uri: pathToFileURL(path).href, range: runnable.range });
}

/** @throws Refused, RunningAlready, AbortError */
export async function performJob<Job extends TrainingJob>(
  job: Job,
  hooks: JobHooks,
): Promise<TrainingJobResult[Job["task"]]> {
  return (await resultOf(job, hooks)) as TrainingJobResult[Job["task"]];
}

function resultOf(job: TrainingJob, hooks: JobHooks): Promise<TrainingJobResult[keyof TrainingJobResult]> {
  if (job.task === "generate") {
    return answer(job, hooks);
  }
  const { text, path } = job.config;
  if (job.task === "start" && readConfig(text, path).partial?.stage === "vocabulary") {
    return extendVocabulary(job.config, job.engine, hooks);
  }
  const plan = planOf(job.config);
  return job.task === "plan" ? planTraining(plan, hooks) : start(plan, text, job.engine, hooks);
}

async function answer(
  { request, engine }: Extract<TrainingJob, { task: "generate" }>,
  hooks: JobHooks,
): Promise<GenerationSummary> {
  const prompts = await readPrompts(request.prompts);
  return generate({ ...request, prompts }, engine, {
    ...hooks,
    onEvent: (event) => hooks.onGenerated?.(event),
  });
}

async function extendVocabulary(
  { path, text, severities }: ConfigText,
  engine: EngineLocation,
  hooks: PreparationHooks,
): Promise<Started> {
  const runnable = runnableVocabulary(text, path, diskFiles, severities);
  if ("plan" in runnable) {
    const { run, warnings } = await runVocabularyExtension(runnable.plan, text, engine, hooks);
    return { run, warnings, report: join(run, vocabularyFiles.reportInWords) };
  }
  throw new Refused(runnable.refused, { uri: pathToFileURL(path).href, range: runnable.range });
}

async function start(
  plan: TrainingPlan,
  text: string,
  engine: EngineLocation,
  hooks: PreparationHooks,
): Promise<Started> {
  const { run, warnings } = await prepareRun(plan, text, hooks);
  try {
    hooks.report({ message: "Starting the engine", fraction: 1 });
    await startEngine(engine, run, "train");
  } catch (error) {
    // It never was a run: its reason is in the message, and the next one gets its number.
    await rm(run, { recursive: true, force: true });
    throw error;
  }
  return { run, warnings };
}
