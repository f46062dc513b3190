import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import type { Template } from "../../templates/template";
import type { LoadedTokenizer } from "../../tokenizers/tokenizer";
import { mergeSource } from "../export";
import { loadTokenizerAt, parseTemplate } from "../inputs";
import { hasTokenizer, readModelFiles } from "../model-files";
import { Refused } from "../refused";
import { exists, readRunRecord, runFiles } from "../run-directory";
import { checkpointStep, trainedModel } from "./trained-model";

/** A model that can be given prompts, and how they are put to it. */
export interface AnsweringModel {
  /** For a person: `sft-1, step 154`. */
  readonly name: string;
  /** Which model, for the engine. */
  readonly engineArguments: readonly string[];
  readonly tokenizer: LoadedTokenizer;
  /** null: conversations cannot be put to it. */
  readonly template: Template | null;
  /** Whether that is so because nobody wanted one. */
  readonly templateLeftOut: boolean;
  /** Whether a prompt that is a plain text is a user's turn, or a text to be continued. */
  readonly textIs: "turn" | "beginning";
  /** Whether a text begins with BOS as a trained row does, or with what the tokenizer adds by itself. */
  readonly beginsAs: "row" | "tokenizer";
  /** Tokens of the longest text, prompt and answer together. */
  readonly longest: number;
  /** Ids that its own files say end a text. */
  readonly stopIds: readonly number[];
}

export interface Asked {
  /** Whether by the chat template, if there is one; otherwise none is read. */
  byTemplate: boolean;
  signal: AbortSignal;
}

/**
 * What answers: a run by its newest checkpoint, or the one of its checkpoints that is named, with the tokenizer and the chat
 * template it was trained with; a Hugging Face model directory, or a PEFT adapter directory with its base, with what lies there.
 * @param path absolute
 * @throws Refused
 */
export async function answeringModel(path: string, asked: Asked): Promise<AnsweringModel> {
  const record = await readRunRecord(path);
  if (record !== undefined) return trainedModel(path, record, asked);
  const step = checkpointStep(path);
  const run = dirname(dirname(path));
  const trained = step === undefined ? undefined : await readRunRecord(run);
  if (trained !== undefined) return trainedModel(run, trained, asked, step);
  if (await exists(join(path, "adapter_config.json"))) {
    const { model, adapter } = await mergeSource(path);
    const tokenizer = await loadTokenizerAt((await hasTokenizer(adapter)) ? adapter : model);
    return modelIn(model, basename(path), ["--model", model, "--adapter", adapter], tokenizer, asked);
  }
  if (!(await exists(join(path, "config.json")))) {
    throw new Refused(
      `${path} is neither a run nor a model: it has no ${runFiles.run}, no config.json and no adapter_config.json.`,
    );
  }
  return modelIn(path, basename(path), ["--model", path], await loadTokenizerAt(path), asked);
}

async function modelIn(
  model: string,
  name: string,
  engineArguments: readonly string[],
  tokenizer: LoadedTokenizer,
  { byTemplate }: Asked,
): Promise<AnsweringModel> {
  const { shape } = await readModelFiles(model);
  const source = byTemplate ? tokenizer.chatTemplate : undefined;
  const template = source === undefined ? null : parseTemplate(source, `that ${tokenizer.path} carries`);
  return {
    name,
    engineArguments,
    tokenizer,
    template,
    templateLeftOut: !byTemplate,
    textIs: template === null ? "beginning" : "turn",
    beginsAs: "tokenizer",
    longest: shape.max_position_embeddings,
    stopIds: await stopIdsIn(model),
  };
}

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
