import { RowReader } from "./json-rows";
import type { JsonNode } from "./json-tree";

/** What a file is to this server. */
export type DocumentKind =
  | "training-config"
  | "dataset"
  | "template"
  | "tokenizer"
  | "tokenizer-config"
  | "dataset-info"
  | "unknown";

/** Characters of a `.json` file that are enough to tell whether it holds rows. */
export const kindHeadLength = 64 * 1024;

/**
 * Tells a document's kind from its path, its language id and the beginning of its text.
 *
 * A `.json` file is a dataset only if its first row looks like one, so without `head` it is `unknown`; the beginning
 * (`kindHeadLength` characters) is enough, and may end in the middle of a row.
 */
export function documentKind(path: string, languageId?: string, head?: string): DocumentKind {
  const name = (path.split(/[\\/]/).at(-1) ?? "").toLowerCase();
  const named = kindByName.get(name);
  if (named) return named;
  if (/\.ziptie\.ya?ml$/.test(name)) return "training-config";
  // `page.html.jinja` renders a page, not a conversation.
  if (/^[^.]+(\.chat)?\.jinja2?$/.test(name)) return "template";
  if (/\.(jsonl|ndjson)$/.test(name)) return "dataset";
  if (/\.json$/.test(name)) return head !== undefined && holdsRows(head) ? "dataset" : "unknown";
  if (/\.[^.]+$/.test(name)) return "unknown";
  // No extension: an untitled buffer has only its language.
  if (languageId === "jsonl") return "dataset";
  if (languageId === "json") return head !== undefined && holdsRows(head) ? "dataset" : "unknown";
  return languageId === "jinja" ? "template" : "unknown";
}

const kindByName = new Map<string, DocumentKind>([
  ["dataset_info.json", "dataset-info"],
  ["tokenizer.json", "tokenizer"],
  ["tokenizer_config.json", "tokenizer-config"],
  ["package.json", "unknown"],
  ["package-lock.json", "unknown"],
  // A run's log: appended to while it is read, and not written by a person.
  ["events.jsonl", "unknown"],
]);

/** Rows to look at before giving up; the first ones may be broken. */
const rowsLookedAt = 5;

/** Whether a JSON text is an array, or lines, of objects with the fields of some training format. */
function holdsRows(head: string): boolean {
  const reader = new RowReader(head);
  if (reader.layout === "objects") return false;
  let seen = 0;
  for (const row of reader.rows()) {
    if (row.kind !== "row") continue;
    if (row.partial && looksLikeRow(row.partial)) return true;
    if (++seen === rowsLookedAt) break;
  }
  return false;
}

function looksLikeRow(node: JsonNode): boolean {
  if (node.type !== "object") return false;
  const types = new Map(node.properties.map(({ key, value }) => [key.value, value?.type]));
  const is = (key: string, type: JsonNode["type"]): boolean => types.get(key) === type;
  return (
    is("messages", "array") ||
    is("conversations", "array") ||
    is("conversation", "array") ||
    (is("instruction", "string") && (types.has("output") || types.has("input"))) ||
    (types.has("prompt") && (types.has("completion") || types.has("chosen"))) ||
    (types.has("chosen") && types.has("rejected")) ||
    // Anything may have a `text`: a text row has little else.
    (is("text", "string") && [...types.keys()].every((key) => besideText.has(key)))
  );
}

const besideText = new Set([
  "text",
  "id",
  "meta",
  "metadata",
  "source",
  "lang",
  "language",
  "timestamp",
  "title",
]);
