import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import type { Turn } from "../../datasets/conversation";
import { rowFormat } from "../../datasets/format";
import { alpacaPrompt, readExample, toolsOf } from "../../datasets/read-example";
import { RowFindings } from "../../datasets/row-findings";
import { messagesShape, readTurns } from "../../datasets/turns";
import { RowReader } from "../../documents/json-rows";
import { type JsonNode, type JsonObject, property } from "../../documents/json-tree";
import { decodeUtf8 } from "../../documents/utf8";
import type { PromptSource } from "../../protocol";
import { LineIndex } from "../../text/line-index";
import type { Span } from "../../text/span";
import { Refused } from "../refused";

/** A conversation whose last turn is to be answered. */
export interface PromptTurns {
  readonly turns: readonly Pick<Turn, "role" | "content" | "toolCalls">[];
  readonly tools?: unknown;
}

export interface Prompt {
  /** As its line names it; else its number, from 1. */
  readonly id: string | number;
  readonly content: string | PromptTurns;
  /** Where it stands in the file, for what is wrong with it later. */
  readonly span: Span;
}

/** Prompts and the text that they stand in. */
export interface PromptFile {
  readonly prompts: readonly Prompt[];
  readonly text: string;
  /** For messages: the path, or `standard input`. */
  readonly name: string;
  /** Absolute, when it is a file. */
  readonly path?: string;
}

/** Something is wrong with one prompt. */
export interface PromptFault {
  readonly span: Span;
  readonly message: string;
}

/** @throws Refused naming every line that holds no prompt */
export async function readPromptFile(path: string, name = path): Promise<PromptFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new Refused(`The prompts ${name} cannot be read: ${(error as Error).message}`);
  }
  return parsePrompts(bytes, name, path);
}

/**
 * Prompts are rows of JSON, or plain text with one prompt on each line. The file's ending tells which; without one that does,
 * what it begins with.
 * @throws Refused naming every line that holds no prompt
 */
export function parsePrompts(bytes: Uint8Array, name: string, path?: string): PromptFile {
  const decoded = decodeUtf8(bytes);
  const text = decoded.text.replace(/^\ufeff/, "");
  const file = { text, name, ...(path === undefined ? {} : { path }) };
  if (decoded.findings.length > 0) refuseFaults(file, decoded.findings);
  const isJson =
    /\.(jsonl|ndjson|json)$/i.test(name) || (!/\.txt$/i.test(name) && /^\s*[[{]\s*["{]/.test(text));
  const prompts = isJson ? promptsOfRows(file) : promptsOfLines(text);
  if (prompts.length === 0) throw new Refused(`There is no prompt in ${name}.`);
  return { ...file, prompts };
}

/** A file's prompts; or one text, of whatever lines, as the only prompt. @throws Refused naming every line that holds none */
export async function readPrompts(source: PromptSource): Promise<PromptFile> {
  if ("path" in source) return readPromptFile(source.path);
  const { text } = source;
  return { prompts: [{ id: 1, content: text, span: { start: 0, end: text.length } }], text, name: "prompt" };
}

function promptsOfLines(text: string): Prompt[] {
  const prompts: Prompt[] = [];
  for (const { 0: line, index } of text.matchAll(/[^\r\n]+/g)) {
    if (line.trim() === "") continue;
    prompts.push({ id: prompts.length + 1, content: line, span: { start: index, end: index + line.length } });
  }
  return prompts;
}

function promptsOfRows(file: Omit<PromptFile, "prompts">): Prompt[] {
  const reader = new RowReader(file.text);
  const found: NamedPrompt[] = [];
  const faults: PromptFault[] = [];
  const ids = new Set<string | number>();
  for (const row of reader.rows()) {
    // An array that is cut, or that something follows, may lack prompts.
    if (row.kind === "end") faults.push(...row.findings);
    if (row.kind !== "row") continue;
    const prompt =
      row.node === undefined
        ? { span: row, message: row.findings[0]?.message ?? "It cannot be read." }
        : promptOfRow(row.node);
    if ("message" in prompt) faults.push(prompt);
    else if (prompt.id !== undefined && ids.has(prompt.id)) {
      const message = `The id ${JSON.stringify(prompt.id)} is that of an earlier prompt; give every prompt one of its own, or none.`;
      faults.push({ span: prompt.span, message });
    } else {
      if (prompt.id !== undefined) ids.add(prompt.id);
      found.push(prompt);
    }
  }
  if (faults.length > 0) refuseFaults(file, faults);
  return found.map((prompt, index) => ({
    ...prompt,
    id: prompt.id ?? freeNumber(index + 1, found.length, ids),
  }));
}

/** A prompt with the id that its row gives it, if it does. */
type NamedPrompt = Omit<Prompt, "id"> & { id: string | number | undefined };

/** The number of a row, unless it is another's id: then one past the last row that is nobody's. */
function freeNumber(row: number, rows: number, ids: ReadonlySet<string | number>): number {
  let number = row;
  while (ids.has(number)) number += rows;
  return number;
}

const wanted = '`{"prompt": "…"}`, `{"prompt": [turns]}`, or a conversation such as `{"messages": [turns]}`';

function promptOfRow(row: JsonNode): NamedPrompt | PromptFault {
  const span = { start: row.start, end: row.end };
  if (row.type !== "object") return { span, message: `This is no prompt; a line is ${wanted}.` };
  const id = property(row, "id")?.value;
  if (id !== undefined && id.type !== "null" && id.type !== "string" && id.type !== "number") {
    return { span, message: "An `id` is a string or a number." };
  }
  const content = contentOf(row);
  return typeof content === "object" && "message" in content
    ? content
    : { id: id === undefined || id.type === "null" ? undefined : id.value, content, span };
}

function contentOf(row: JsonObject): string | PromptTurns | PromptFault {
  const span = { start: row.start, end: row.end };
  const prompt = property(row, "prompt")?.value;
  if (prompt?.type === "string") return prompt.value;
  if (prompt?.type === "array") {
    const findings = new RowFindings();
    const turns = readTurns(prompt, messagesShape, findings).flatMap(({ turn }) => turn ?? []);
    if (turns.length < prompt.items.length) return firstOf(findings.list, span);
    return toAnswer({ turns, ...toolsOf(row) }, span);
  }
  if (prompt !== undefined) return { span: prompt, message: "A `prompt` is a text, or a list of turns." };
  const format = rowFormat(row);
  if (format !== "messages" && format !== "sharegpt" && format !== "alpaca") {
    return { span, message: `There is no prompt here; a line is ${wanted}.` };
  }
  if (format === "alpaca") {
    const findings = new RowFindings();
    const turns = alpacaPrompt(row, findings);
    return turns === undefined ? firstOf(findings.list, span) : toAnswer({ turns }, span);
  }
  const { example, findings, unsupported } = readExample(row, format);
  if (unsupported !== undefined) return { span, message: `It has ${unsupported}, which cannot be answered.` };
  if (example?.kind !== "conversation") return firstOf(findings, span);
  return toAnswer(example.conversation, span);
}

function firstOf(findings: readonly PromptFault[], span: Span): PromptFault {
  return findings[0] ?? { span, message: `There is no prompt here; a line is ${wanted}.` };
}

/** Up to the last turn that can be answered: an answer that a dataset has there already is left out. */
function toAnswer({ turns, tools }: PromptTurns, span: Span): PromptTurns | PromptFault {
  const asked = turns.at(-1)?.role === "assistant" ? turns.slice(0, -1) : turns;
  if (asked.length === 0 || asked.at(-1)?.role === "system") {
    return { span, message: "This conversation has no turn that could be answered." };
  }
  return tools === undefined ? { turns: asked } : { turns: asked, tools };
}

/** So many faults are told one by one. */
const toldFaults = 20;

/** @throws Refused with the place of each fault; the first one's is its location, if there is a file */
export function refuseFaults(
  { text, name, path }: Omit<PromptFile, "prompts">,
  faults: readonly PromptFault[],
): never {
  const lines = new LineIndex(text);
  const told = faults.slice(0, toldFaults).map(({ span, message }) => {
    const { line, character } = lines.rangeOf(span).start;
    return { message, placed: `${name}:${line + 1}:${character + 1}: ${message}` };
  });
  const [first] = faults;
  const location =
    path === undefined || first === undefined
      ? undefined
      : { uri: pathToFileURL(path).href, range: lines.rangeOf(first.span) };
  const said = told.map(({ message, placed }, index) => (index === 0 && location ? message : placed));
  const rest = faults.length - told.length;
  if (rest > 0) said.push(`… and ${rest} more.`);
  throw new Refused(said.join("\n"), location);
}
