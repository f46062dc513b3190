import { type JsonNode, type JsonObject, plainValue, property } from "../documents/json-tree";
import type { Finding } from "../text/span";
import type { Content, Conversation, Example, Turn } from "./conversation";
import { type DatasetFormat, formatFields, rowFormat, turnList, turnListFields } from "./format";
import { joinContents, quoted, RowFindings } from "./row-findings";
import { judgeOrder, messagesShape, readTurns, sharegptShape, type TurnShape } from "./turns";

export interface ReadRow {
  /** Undefined when the row cannot be trained on: `findings` or `unsupported` say why. */
  readonly example?: Example;
  readonly findings: readonly Finding[];
  /** Why a row without fault is none to train on: its format is only recognised, or it holds an image. */
  readonly unsupported?: string;
}

/** Reads one row as an example of a format, or says exactly what keeps it from being one. */
export function readExample(row: JsonNode, format: DatasetFormat): ReadRow {
  const findings = new RowFindings();
  const example = read(row, format, findings);
  return {
    findings: findings.list,
    ...(example && findings.unsupported === undefined && { example }),
    ...(findings.unsupported !== undefined && { unsupported: findings.unsupported }),
  };
}

function read(row: JsonNode, format: DatasetFormat, findings: RowFindings): Example | undefined {
  if (row.type !== "object") {
    findings.wrongType(row, "row", "an object");
    return undefined;
  }
  const own = rowFormat(row);
  if (own !== undefined && own !== format && !alsoReadable(row, format)) {
    reportOtherFormat(row, own, format, findings);
    return undefined;
  }
  switch (format) {
    case "messages":
      return conversation(row, messagesShape, findings);
    case "sharegpt":
      return conversation(row, sharegptShape, findings);
    case "alpaca":
      return alpaca(row, findings);
    case "prompt-completion":
      return promptCompletion(row, findings);
    case "text":
      return text(row, findings);
    default:
      findings.unsupported = `the ${format} format`;
      return undefined;
  }
}

/** Whether a row that looks like another format has this one's fields all the same, e.g. a `text` beside `messages`. */
function alsoReadable(row: JsonObject, format: DatasetFormat): boolean {
  const has = (key: string): boolean => property(row, key) !== undefined;
  if (format === "text") return has("text");
  if (format === "prompt-completion") return has("prompt") && has("completion");
  return format === "alpaca" && has("instruction") && has("output");
}

/** Told at the field that gives the other format away. */
function reportOtherFormat(
  row: JsonObject,
  own: DatasetFormat,
  format: DatasetFormat,
  findings: RowFindings,
): void {
  const telling =
    own === "preference"
      ? ["chosen"]
      : own === "unpaired-preference"
        ? ["label", "kto_tag"]
        : formatFields[own];
  const list = turnList(row);
  let key = row.properties.find((candidate) => telling.includes(candidate.key.value))?.key ?? row;
  const sameField =
    list && (format === "messages" || format === "sharegpt") && (own === "messages" || own === "sharegpt");
  if (sameField && list.value?.type === "array") {
    const turn = list.value.items.find((item) => item.type === "object" && item.properties.length > 0);
    if (turn?.type === "object")
      key =
        turn.properties.find(({ key }) => ["role", "content", "from", "value"].includes(key.value))?.key ??
        key;
  }
  const span =
    key.type === "string"
      ? { start: key.start + 1, end: key.end - 1 }
      : { start: row.start, end: row.start + 1 };
  findings.add(
    "inconsistent-fields",
    span,
    `This row is in the ${own} format, the others are in ${format}; a file has one format.`,
  );
}

function conversation(row: JsonObject, shape: TurnShape, findings: RowFindings): Example | undefined {
  const found = turnList(row);
  if (!found?.value) {
    const wanted = shape === messagesShape ? "messages" : "conversations";
    findings.missing(row, wanted, "This row", turnListFields);
    return undefined;
  }
  if (found.value.type !== "array") {
    findings.wrongType(found.value, found.key.value, "a list of turns");
    return undefined;
  }
  if (found.value.items.length === 0) {
    findings.add("empty-turn", found.value, "This conversation has no turns.");
    return undefined;
  }
  const read = readTurns(found.value, shape, findings);
  judgeOrder(read, findings);
  const turns: Turn[] = [];
  // LLaMA-Factory's sharegpt rows may carry the system prompt beside the turns.
  const system = shape === sharegptShape ? findings.optionalString(row, "system") : undefined;
  if (system && system.content !== "" && read[0]?.role !== "system")
    turns.push(fieldTurn("system", "system", system, row));
  for (const { turn } of read) if (turn) turns.push(turn);
  if (read.length < found.value.items.length || read.some(({ turn }) => !turn)) return undefined;
  return { kind: "conversation", conversation: { turns, ...toolsOf(row) } };
}

/** The tools that a row offers beside its turns, if it does. */
export function toolsOf(row: JsonObject): Pick<Conversation, "tools"> {
  const tools = property(row, "tools")?.value;
  const given = tools && tools.type !== "null" && !(tools.type === "string" && tools.value.trim() === "");
  return given ? { tools: parsedTools(tools) } : {};
}

/** LLaMA-Factory writes the list of tools as a string that holds JSON. */
function parsedTools(node: JsonNode): unknown {
  if (node.type !== "string") return plainValue(node);
  try {
    return JSON.parse(node.value);
  } catch {
    return node.value;
  }
}

/** A turn of a format that says the role by the field's name. */
function fieldTurn(role: Turn["role"], field: string, content: Content, row: JsonObject): Turn {
  const key = property(row, field)?.key;
  const roleSpan = key ? { start: key.start + 1, end: key.end - 1 } : content.span;
  return { ...content, role, roleSpan, sourceRole: field };
}

function alpaca(row: JsonObject, findings: RowFindings): Example | undefined {
  const turns = alpacaPrompt(row, findings);
  const output = findings.requiredString(row, "output", "This row", formatFields.alpaca);
  if (output && output.content.trim() === "")
    findings.add("empty-turn", quoted(output), "The output is empty: there is nothing to learn.");
  if (!turns || !output) return undefined;
  turns.push(fieldTurn("assistant", "output", output, row));
  return { kind: "conversation", conversation: { turns } };
}

/**
 * An alpaca row's turns up to where the answer begins, as LLaMA-Factory reads them: input after instruction on a new line, history
 * as pairs before both.
 */
export function alpacaPrompt(row: JsonObject, findings: RowFindings): Turn[] | undefined {
  const instruction = findings.requiredString(row, "instruction", "This row", formatFields.alpaca);
  const input = findings.optionalString(row, "input");
  const system = findings.optionalString(row, "system");
  const turns: Turn[] = [];
  if (system && system.content !== "") turns.push(fieldTurn("system", "system", system, row));
  const whole = readHistory(row, turns, findings);
  if (instruction && instruction.content.trim() === "" && (!input || input.content.trim() === "")) {
    findings.add("empty-turn", quoted(instruction), "Instruction and input are both empty.");
  }
  if (!instruction || !whole) return undefined;
  const asked = [instruction, ...(input ? [input] : [])].filter(({ content }) => content !== "");
  turns.push(
    fieldTurn("user", "instruction", asked.length > 0 ? joinContents(asked, "\n") : instruction, row),
  );
  return turns;
}

/** Appends the turns of `history`; false when it is not as it must be. */
function readHistory(row: JsonObject, turns: Turn[], findings: RowFindings): boolean {
  const found = property(row, "history");
  if (!found?.value || found.value.type === "null") return true;
  if (found.value.type !== "array") {
    findings.wrongType(found.value, "history", "a list of pairs");
    return false;
  }
  let whole = true;
  for (const pair of found.value.items) {
    if (pair.type !== "array" || pair.items.length !== 2) {
      if (pair.type !== "array") findings.wrongType(pair, "history", "a list of pairs");
      else {
        const span = { start: pair.start, end: pair.start + 1 };
        findings.add(
          "wrong-value-type",
          span,
          `A pair of \`history\` holds a question and an answer, not ${pair.items.length} values.`,
        );
      }
      whole = false;
      continue;
    }
    for (const [index, value] of pair.items.entries()) {
      const content = findings.string({ key: found.key, value });
      if (content) turns.push(fieldTurn(index === 0 ? "user" : "assistant", "history", content, row));
      else whole = false;
    }
  }
  return whole;
}

/** TRL's: two strings, or two lists of messages. */
function promptCompletion(row: JsonObject, findings: RowFindings): Example | undefined {
  const known = formatFields["prompt-completion"];
  const prompt = property(row, "prompt");
  const completion = property(row, "completion");
  if (prompt?.value?.type === "array" && completion?.value?.type === "array") {
    const read = [
      ...readTurns(prompt.value, messagesShape, findings),
      ...readTurns(completion.value, messagesShape, findings),
    ];
    if (completion.value.items.length === 0)
      findings.add("empty-turn", completion.value, "The completion has no turns.");
    judgeOrder(read, findings);
    const turns = read.flatMap(({ turn }) => (turn ? [turn] : []));
    const whole =
      turns.length === prompt.value.items.length + completion.value.items.length && turns.length > 0;
    return whole ? { kind: "conversation", conversation: { turns } } : undefined;
  }
  if (prompt?.value?.type === "array" && completion?.value?.type === "string") {
    findings.wrongType(completion.value, "completion", "a list of turns as `prompt` is");
    return undefined;
  }
  const asked = findings.requiredString(row, "prompt", "This row", known);
  const answered = findings.requiredString(row, "completion", "This row", known);
  if (answered && answered.content.trim() === "") {
    findings.add("empty-turn", quoted(answered), "The completion is empty: there is nothing to learn.");
  }
  return asked && answered ? { kind: "prompt-completion", prompt: asked, completion: answered } : undefined;
}

function text(row: JsonObject, findings: RowFindings): Example | undefined {
  const read = findings.requiredString(row, "text", "This row", formatFields.text);
  if (!read) return undefined;
  if (read.content.trim() === "") findings.add("empty-turn", quoted(read), "The text is empty.");
  return { kind: "text", text: read.content, span: read.span, pieces: read.pieces };
}
