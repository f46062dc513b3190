import { resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { GeneratedAnswer, GenerationEvent, GenerationSettings } from "../protocol";
import { locateEngine } from "../training/engine";
import { defaultSettings, generate } from "../training/generation/generate";
import { type PromptFile, parsePrompts, readPromptFile } from "../training/generation/prompts";
import { exists } from "../training/run-directory";
import { interruptible } from "./interruptible";
import { answer, type FormatOption, findRun, WrongUsage } from "./run-output";

interface GenerateOptions extends FormatOption {
  prompts: string;
  maxNewTokens: number;
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
  stop: string[];
  batchSize: number;
  chatTemplate: boolean;
  threads?: number;
}

export function registerGenerate(program: Command): void {
  program
    .command("generate")
    .description("Answer prompts with a run's newest checkpoint, a model or an adapter.")
    .argument(
      "<model>",
      "a run directory, a run's name below this folder, a checkpoint of a run, a Hugging Face model directory, or a PEFT adapter directory",
    )
    .requiredOption(
      "--prompts <file>",
      'JSONL with {"prompt": …} or conversations, or text with a prompt on each line; - reads standard input',
    )
    .addOption(number("--max-new-tokens <n>", "tokens of an answer at most", positive, "max_new_tokens"))
    .addOption(number("--temperature <t>", "draw at this temperature; 0: the likeliest token", atLeastZero))
    .addOption(
      number("--top-k <k>", "draw from so many of the likeliest tokens; 0: from all", natural, "top_k"),
    )
    .addOption(
      number("--top-p <p>", "draw from the likeliest tokens of this probability together", share, "top_p"),
    )
    .addOption(number("--seed <n>", "what is drawn follows from it", natural))
    .addOption(
      new Option(
        "--stop <token>",
        "end an answer at this token, too: as the vocabulary writes it, its text, or its id; may be given several times",
      )
        .argParser((token: string, before: string[]) => [...before, token])
        .default([], "none"),
    )
    .addOption(number("--batch-size <n>", "answers that are written at a time", positive, "batch_size"))
    .option("--no-chat-template", "continue each prompt as a text, although there is a chat template")
    .addOption(number("--threads <n>", "CPU threads; all when not given", positive))
    .addOption(
      new Option(
        "--format <format>",
        "text as it is written, or a line of JSON with id, prompt, answer, tokens and finish for each prompt",
      )
        .choices(["text", "json"])
        .default("text"),
    )
    .action((model: string, options: GenerateOptions) =>
      answer(options.format, () => generateAnswers(model, options)),
    );
}

/** An option for a number that `accepts` says is one, with the engine's default. */
function number(
  flags: string,
  description: string,
  { accepts, wanted }: Kind,
  key?: keyof GenerationSettings,
): Option {
  const option = new Option(flags, description).argParser((text) => {
    const value = Number(text);
    if (text.trim() === "" || !accepts(value)) throw new InvalidArgumentError(`It is ${wanted}.`);
    return value;
  });
  const name = key ?? option.attributeName();
  const fallback = name in defaultSettings ? defaultSettings[name as keyof GenerationSettings] : null;
  return fallback === null ? option : option.default(fallback);
}

interface Kind {
  accepts: (value: number) => boolean;
  wanted: string;
}
const positive: Kind = { accepts: (n) => Number.isSafeInteger(n) && n > 0, wanted: "a whole number above 0" };
const natural: Kind = { accepts: (n) => Number.isSafeInteger(n) && n >= 0, wanted: "a whole number" };
const atLeastZero: Kind = { accepts: (n) => Number.isFinite(n) && n >= 0, wanted: "a number from 0 on" };
const share: Kind = { accepts: (n) => n > 0 && n <= 1, wanted: "a number above 0, 1 at most" };

async function generateAnswers(named: string, options: GenerateOptions): Promise<void> {
  const { format, maxNewTokens, temperature, topK, topP, seed, stop, batchSize, chatTemplate } = options;
  const { threads = null } = options;
  const drawing = topK > 0 ? "--top-k" : topP < 1 ? "--top-p" : null;
  if (drawing !== null && temperature === 0) {
    throw new WrongUsage(`${drawing} is for drawing: give --temperature, too, or leave it out.`);
  }
  const settings = {
    max_new_tokens: maxNewTokens,
    temperature,
    top_k: topK,
    top_p: topP,
    seed,
    stop,
    batch_size: batchSize,
    chat_template: chatTemplate,
    threads,
  };
  const model = await findRun(named);
  const prompts = await promptsOf(options.prompts);
  const engine = await locateEngine();
  await interruptible("Cancelled; only whole answers count.", async ({ report, signal, note, clear }) => {
    const output = format === "json" ? new AnswerLines() : new AnswerTexts();
    return await generate({ model, prompts, settings }, engine, {
      signal,
      // It would run into an answer on the same screen.
      report: (progress) => (output.isOpen ? undefined : report(progress)),
      onEvent: (event) => {
        if (event.event === "begin") note(event.about);
        else output.write(event, process.stderr.isTTY ? clear : () => {});
      },
    });
  });
}

/** @throws WrongUsage when there is no such file; Refused when it holds no prompts */
async function promptsOf(named: string): Promise<PromptFile> {
  if (named === "-") return parsePrompts(await buffer(process.stdin), "standard input");
  if (!(await exists(resolve(named)))) throw new WrongUsage(`${named} is not there.`);
  return readPromptFile(resolve(named), named);
}

type AnswerEvent = Exclude<GenerationEvent, { event: "begin" }>;

/** A JSON document on each line. */
class AnswerLines {
  readonly isOpen = false;

  write(event: AnswerEvent, clear: () => void): void {
    if (event.event !== "answer") return;
    clear();
    const { id, prompt, answer, tokens, finish } = event;
    const document: GeneratedAnswer = { id, prompt, answer, tokens, finish };
    process.stdout.write(`${JSON.stringify(document)}\n`);
  }
}

/** Each prompt after `> `, then the answer as it is written. */
class AnswerTexts {
  /** Whether what is on stdout ends within a line. */
  isOpen = false;

  write(event: AnswerEvent, clear: () => void): void {
    clear();
    if (event.event === "prompt") {
      const { prompt } = event;
      const asked = typeof prompt === "string" ? prompt : (prompt.at(-1)?.content ?? "");
      this.#print(`${asked.replace(/^/gm, "> ")}\n`);
    } else if (event.event === "text") {
      this.#print(event.text);
    } else if (event.event === "broken_off") {
      this.#print(" …\n\n");
    } else {
      const cut = event.finish === "length" ? ` … (cut after ${event.tokens} tokens)` : "";
      this.#print(`${cut}\n\n`);
    }
  }

  #print(text: string): void {
    process.stdout.write(text);
    this.isOpen = !text.endsWith("\n");
  }
}
