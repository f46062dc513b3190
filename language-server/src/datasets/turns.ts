import {
  innerSpan,
  type JsonArray,
  type JsonNode,
  type JsonObject,
  plainValue,
  property,
} from "../documents/json-tree";
import type { Span } from "../text/span";
import type { Content, Role, Turn } from "./conversation";
import { messagesRoles, type RoleNames, sharegptRoles, suggestRole } from "./roles";
import { contentOf, joinContents, quoted, type RowFindings } from "./row-findings";

/** How a format writes a turn. */
export interface TurnShape {
  readonly role: string;
  readonly content: string;
  readonly roles: RoleNames;
}
export const messagesShape: TurnShape = { role: "role", content: "content", roles: messagesRoles };
export const sharegptShape: TurnShape = { role: "from", content: "value", roles: sharegptRoles };

/** Fields a turn may have besides; none of them is a misspelled role or content. */
const turnFields = [
  "role",
  "content",
  "from",
  "value",
  "name",
  "weight",
  "loss_weight",
  "tool_calls",
  "tool_call_id",
  "function_call",
  "reasoning_content",
  "thinking",
  "refusal",
  "train",
  "id",
];

/** A turn as far as it could be read. */
interface ReadTurn {
  /** Undefined for a role that the format does not have. */
  role: Role | undefined;
  roleSpan: Span;
  turn: Turn | undefined;
  node: JsonObject;
}

/** Reads a list of turns and judges each; `judgeOrder` judges them together. */
export function readTurns(list: JsonArray, shape: TurnShape, findings: RowFindings): ReadTurn[] {
  const turns: ReadTurn[] = [];
  for (const node of list.items) {
    if (node.type === "object") turns.push(readTurn(node, shape, findings));
    else findings.wrongType(node, "turn", `an object with \`${shape.role}\` and \`${shape.content}\``);
  }
  return turns;
}

function readTurn(node: JsonObject, shape: TurnShape, findings: RowFindings): ReadTurn {
  const roleNode = property(node, shape.role)?.value;
  const roleSpan =
    roleNode?.type === "string" ? innerSpan(roleNode) : { start: node.start, end: node.start + 1 };
  let sourceRole = "";
  let role: Role | undefined;
  if (!roleNode) findings.missing(node, shape.role, "This turn", turnFields);
  else if (roleNode.type !== "string") findings.wrongType(roleNode, shape.role, "a string");
  else {
    sourceRole = roleNode.value;
    role = shape.roles.get(sourceRole);
    if (!role) reportRole(sourceRole, innerSpan(roleNode), roleNode, shape, findings);
  }
  const toolCalls = property(node, "tool_calls")?.value ?? property(node, "function_call")?.value;
  const calls = toolCalls !== undefined && toolCalls.type !== "null";
  const content = readContent(node, shape, calls, findings);
  if (content && content.content.trim() === "" && !calls && (role === "user" || role === "assistant")) {
    findings.add("empty-turn", quoted(content), `This ${role} turn says nothing.`);
  }
  let turn: Turn | undefined;
  if (role && content) {
    const { content: words, span, pieces } = content;
    turn = { role, content: words, span, pieces, roleSpan, sourceRole };
    if (calls) turn = { ...turn, toolCalls: plainValue(toolCalls) };
  }
  return { role, roleSpan, turn, node };
}

function reportRole(role: string, inner: Span, literal: Span, shape: TurnShape, findings: RowFindings): void {
  const meant = suggestRole(role, shape.roles);
  const names = [...shape.roles.keys()]
    .slice(0, shape === messagesShape ? 4 : 5)
    .map((name) => `\`${name}\``);
  const message = `\`${role}\` is not a role; ${
    meant ? `did you mean \`${meant}\`?` : `use one of ${names.join(", ")}.`
  }`;
  findings.add(
    "unknown-role",
    role === "" ? literal : inner,
    message,
    (meant && { title: `Replace with \`${meant}\``, edits: [{ span: inner, newText: meant }] }) || undefined,
  );
}

function readContent(
  node: JsonObject,
  shape: TurnShape,
  calls: boolean,
  findings: RowFindings,
): Content | undefined {
  const found = property(node, shape.content);
  const value = found?.value;
  // A turn that only calls tools need not say anything.
  if ((!value || value.type === "null") && calls)
    return { content: "", span: { start: node.start, end: node.start }, pieces: [] };
  if (!found || !value) {
    findings.missing(node, shape.content, "This turn", turnFields);
    return undefined;
  }
  if (value.type === "array") return readParts(value, shape, findings);
  return findings.string(found);
}

/** A content in parts: those of type `text` are put together, others are left to who can judge them. */
function readParts(list: JsonArray, shape: TurnShape, findings: RowFindings): Content | undefined {
  const parts: Content[] = [];
  for (const part of list.items) {
    if (part.type !== "object") {
      findings.wrongType(part, shape.content, "a string, or a list of objects with `type`");
      return undefined;
    }
    const type = property(part, "type")?.value;
    const text = property(part, "text")?.value ?? property(part, "value")?.value;
    if (type?.type !== "string" || type.value !== "text" || text?.type !== "string") {
      findings.unsupported ??= `a content part of type ${describe(type)}`;
      return undefined;
    }
    parts.push(contentOf(text.value, innerSpan(text)));
  }
  if (parts.length === 0) findings.add("empty-turn", list, "This turn says nothing.");
  return parts.length > 0 ? joinContents(parts, "") : undefined;
}

function describe(type: JsonNode | undefined): string {
  return type?.type === "string" ? `\`${type.value}\`` : "that is not said";
}

/**
 * Whether the turns follow one another as chat templates want: a system turn only at the beginning, then user and
 * assistant by turns, an assistant turn at the end. Tool results may follow each other and any assistant turn.
 */
export function judgeOrder(turns: readonly ReadTurn[], findings: RowFindings): void {
  let previous: Role | undefined;
  let begun = false;
  for (const [index, { role, roleSpan }] of turns.entries()) {
    if (role === undefined) {
      // Whoever this is meant to be, do not guess what may follow.
      previous = undefined;
      begun = true;
      continue;
    }
    if (role === "system") {
      if (index > 0) {
        findings.add(
          "system-not-first",
          roleSpan,
          "A system turn stands before all others; templates drop or refuse it here.",
        );
      }
      continue;
    }
    if (!begun && role !== "user") {
      findings.add(
        "role-alternation",
        roleSpan,
        `The conversation begins with ${role === "tool" ? "a tool" : "an assistant"} turn; a user turn must come first.`,
      );
    } else if (begun && role === previous && role !== "tool") {
      const article = role === "user" ? "Two user" : "Two assistant";
      findings.add(
        "role-alternation",
        roleSpan,
        `${article} turns in a row; user and assistant must take turns.`,
      );
    }
    previous = role;
    begun = true;
  }
  const last = turns.at(-1);
  if (last?.role !== undefined && last.role !== "assistant") {
    findings.add(
      "last-turn-not-assistant",
      last.roleSpan,
      `The conversation ends with a ${last.role} turn: nothing after it is learned. End with an assistant turn.`,
    );
  }
}
