import type { Role } from "./conversation";
import { nearest } from "./format";

/** The role names of the two conversation formats, in the order in which they are offered. */
export type RoleNames = ReadonlyMap<string, Role>;

/** OpenAI's and the chat templates' names. */
export const messagesRoles: RoleNames = new Map<string, Role>([
  ["system", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
  ["tool", "tool"],
  ["developer", "system"],
  ["function", "tool"],
  ["ipython", "tool"],
  ["observation", "tool"],
]);

/** ShareGPT's own, LLaMA-Factory's for tool calls, and those that axolotl takes for the same. */
export const sharegptRoles: RoleNames = new Map<string, Role>([
  ["system", "system"],
  ["human", "user"],
  ["gpt", "assistant"],
  ["function_call", "assistant"],
  ["observation", "tool"],
  ["user", "user"],
  ["assistant", "assistant"],
  ["tool", "tool"],
  ["chatgpt", "assistant"],
  ["bing", "assistant"],
  ["bard", "assistant"],
  ["tool_call", "assistant"],
  ["tool_response", "tool"],
  ["function_response", "tool"],
]);

/** Names from elsewhere for the same speakers. */
const elsewhere = new Map<string, Role>([
  ["human", "user"],
  ["prompter", "user"],
  ["person", "user"],
  ["customer", "user"],
  ["question", "user"],
  ["instruction", "user"],
  ["gpt", "assistant"],
  ["chatgpt", "assistant"],
  ["model", "assistant"],
  ["bot", "assistant"],
  ["chatbot", "assistant"],
  ["ai", "assistant"],
  ["agent", "assistant"],
  ["answer", "assistant"],
  ["response", "assistant"],
  ["sys", "system"],
  ["context", "system"],
  ["function_call", "assistant"],
]);

/** The format's name that a wrong one probably means. */
export function suggestRole(wrong: string, names: RoleNames): string | undefined {
  const lower = wrong.trim().toLowerCase();
  if (names.has(lower)) return lower;
  const meant = elsewhere.get(lower);
  if (meant !== undefined) return [...names].find(([, role]) => role === meant)?.[0];
  return nearest(lower, [...names.keys()]) ?? (lower.length >= 2 ? prefixed(lower, names) : undefined);
}

/** `assist`, `usr`: a beginning, or the letters in order. */
function prefixed(word: string, names: RoleNames): string | undefined {
  return [...names.keys()].find(
    (name) => name.startsWith(word) || word.startsWith(name) || isSubsequence(word, name),
  );
}

function isSubsequence(word: string, name: string): boolean {
  if (word.length * 2 < name.length || word[0] !== name[0]) return false;
  let at = 0;
  for (const letter of name) if (letter === word[at]) at++;
  return at === word.length;
}
