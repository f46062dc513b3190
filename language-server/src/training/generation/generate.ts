import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { GenerationEvent, GenerationSettings, GenerationSummary, PromptMessages } from "../../protocol";
import type { LoadedTokenizer } from "../../tokenizers/tokenizer";
import type { EngineLocation } from "../engine";
import { runEngine } from "../engine-process";
import type { Reporter } from "../progress";
import { Refused } from "../refused";
import { AnswerText } from "./answer-text";
import { type AnsweringModel, answeringModel } from "./answering-model";
import { type EncodedPrompt, encodePrompts } from "./encode-prompts";
import { endOfTurn } from "./end-of-turn";
import { AnswersInOrder } from "./ordered-answers";
import type { PromptFile, PromptTurns } from "./prompts";
import { stopTokenIds } from "./stop-tokens";

export interface GenerationRequest {
  /** Absolute: a run, a Hugging Face model directory, or a PEFT adapter directory. */
  model: string;
  prompts: PromptFile;
  settings: GenerationSettings;
}

/** Greedy, and long enough for an answer of a few paragraphs. */
export const defaultSettings: GenerationSettings = {
  max_new_tokens: 256,
  temperature: 0,
  top_k: 0,
  top_p: 1,
  seed: 0,
  stop: [],
  batch_size: 8,
  chat_template: true,
  threads: null,
};

export interface GenerationHooks {
  report: Reporter;
  signal: AbortSignal;
  onEvent: (event: GenerationEvent) => void;
}

/** What `native/cli/generate.cpp` says. */
const lineSchema = z.union([
  z.object({ id: z.number(), token: z.number() }),
  z.object({ id: z.number(), output_ids: z.array(z.number()), finish: z.enum(["stop", "length"]) }),
]);

/**
 * Answers prompts. Whatever is wrong with one of them is said before the model is read. Events come in the order of the prompts.
 * Cancelled, it hands over the answers that are whole, and then throws.
 * @throws Refused; AbortError
 */
export async function generate(
  { model: path, prompts: file, settings }: GenerationRequest,
  engine: EngineLocation,
  { report, signal, onEvent }: GenerationHooks,
): Promise<GenerationSummary> {
  report({ message: "Reading the prompts", fraction: 0 });
  const model = await answeringModel(path, { byTemplate: settings.chat_template, signal });
  const encoded = await encodePrompts(file, model, { report, signal });
  signal.throwIfAborted();
  const { stopIds, texts } = await answersOf(file, encoded, model, settings.stop);
  onEvent({ event: "begin", prompts: file.prompts.length, about: describe(model, encoded, stopIds) });
  report({ message: "Loading the model", fraction: 0 });
  const ordered = new AnswersInOrder(
    file.prompts.map(({ id, content }, index) => ({
      id,
      prompt: typeof content === "string" ? content : messagesOf(content),
      text: texts[index] as AnswerText,
    })),
    onEvent,
  );
  const directory = await mkdtemp(join(tmpdir(), "ziptie-generate-"));
  // A program whose reader has gone ends at once.
  const remove = () => rmSync(directory, { recursive: true, force: true });
  process.once("exit", remove);
  try {
    const requests = join(directory, "prompts.jsonl");
    const lines = encoded.map(({ ids }, id) => `${JSON.stringify({ id, input_ids: ids })}\n`);
    await writeFile(requests, lines.join(""));
    await runEngine(engine, ["generate", ...argumentsOf(model, requests, stopIds, settings)], {
      signal,
      mayBeKilled: true,
      onLine: (line) => {
        const said = lineSchema.safeParse(parsedLine(line)).data;
        // An answer that was broken off is none.
        if (said === undefined) return;
        if ("token" in said) return ordered.token(said.id, said.token);
        ordered.finish(said.id, said.output_ids.length, said.finish);
        const message = `${ordered.finished} of ${file.prompts.length} answers`;
        report({ message, fraction: ordered.finished / file.prompts.length });
      },
    });
  } finally {
    ordered.close();
    process.off("exit", remove);
    remove();
  }
  if (ordered.finished < file.prompts.length) {
    throw new Refused(`The engine ended after ${ordered.finished} of ${file.prompts.length} answers.`);
  }
  return { answers: ordered.finished };
}

function parsedLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new Refused(`The engine said what is no answer: ${line.slice(0, 200)}`);
  }
}

function argumentsOf(
  { engineArguments }: AnsweringModel,
  prompts: string,
  stopIds: readonly number[],
  { max_new_tokens, temperature, top_k, top_p, seed, batch_size, threads }: GenerationSettings,
): string[] {
  return [
    ...engineArguments,
    ...["--prompts", prompts, "--stream", "--max-new-tokens", String(max_new_tokens)],
    ...(stopIds.length > 0 ? ["--stop-ids", stopIds.join(",")] : []),
    ...["--temperature", String(temperature), "--top-k", String(top_k), "--top-p", String(top_p)],
    ...["--seed", String(seed), "--batch-size", String(batch_size)],
    ...(threads === null ? [] : ["--threads", String(threads)]),
  ];
}

/**
 * What ends an answer, and how each is read: EOS, what the model's own files say, what ends a turn of the template, and what is
 * asked for.
 */
async function answersOf(
  { prompts }: PromptFile,
  encoded: readonly EncodedPrompt[],
  { template, tokenizer, stopIds }: AnsweringModel,
  stop: readonly string[],
): Promise<{ stopIds: number[]; texts: AnswerText[] }> {
  const turn =
    template !== null && encoded.some(({ isTurn }) => isTurn) ? await endOfTurn(template, tokenizer) : null;
  const atStart = { before: await spaceAtStart(tokenizer), after: "" };
  const inside = { before: "", after: "" };
  const asked = await stopTokenIds(stop, tokenizer);
  const ids = [tokenizer.special.eos?.id, turn?.id, ...stopIds, ...asked].filter((id) => id !== undefined);
  const texts = encoded.map(({ isTurn }, index) => {
    if (isTurn && turn !== null) return new AnswerText(tokenizer, turn.margins);
    return new AnswerText(tokenizer, prompts[index]?.content === "" ? atStart : inside);
  });
  return { stopIds: [...new Set(ids)], texts };
}

/** The space that many tokenizers put before the first word of a text, and take away again when they decode it. */
async function spaceAtStart(tokenizer: LoadedTokenizer): Promise<string> {
  const [first] = (await tokenizer.encode("a", { addSpecialTokens: false })).ids;
  const bytes = first === undefined ? undefined : tokenizer.bytes(first);
  return bytes?.[0] === 0x20 ? " " : "";
}

const messagesOf = ({ turns }: PromptTurns): PromptMessages =>
  turns.map(({ role, content, toolCalls }) => ({
    role,
    content,
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
  }));

function describe(
  { name }: AnsweringModel,
  encoded: readonly EncodedPrompt[],
  stopIds: readonly number[],
): string {
  const turns = encoded.filter(({ isTurn }) => isTurn).length;
  const which = turns === encoded.length ? "prompts" : `${turns} of ${encoded.length} prompts`;
  const how = turns === 0 ? "prompts are texts to be continued" : `${which} are put by its chat template`;
  const end =
    stopIds.length === 0
      ? "; its tokenizer names no token that ends an answer, so only what its config.json has as eos_token_id does"
      : "";
  return `${name}: ${how}${end}.`;
}
