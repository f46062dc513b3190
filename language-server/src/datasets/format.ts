import { distance } from "fastest-levenshtein";
import type { JsonNode, JsonObject } from "../documents/json-tree";
import { property } from "../documents/json-tree";

/** How a dataset's rows say what they say. The first five can be trained on; the others are recognised. */
export type DatasetFormat = TrainableFormat | "preference" | "unpaired-preference";
export type TrainableFormat = "messages" | "alpaca" | "sharegpt" | "prompt-completion" | "text";

/** Fields of a row that hold a list of turns, in any format. */
export const turnListFields: readonly string[] = ["messages", "conversations", "conversation"];

/** Top-level fields that a format gives a meaning; a row may have others. */
export const formatFields: Record<DatasetFormat, readonly string[]> = {
  messages: [...turnListFields, "tools"],
  sharegpt: [...turnListFields, "system", "tools"],
  alpaca: ["instruction", "input", "output", "system", "history"],
  "prompt-completion": ["prompt", "completion"],
  text: ["text"],
  preference: [],
  "unpaired-preference": [],
};

/** Rows at the beginning of a file that decide its format and its columns' types. */
export const sampledRows = 200;

/** The format that most of the first rows have; undefined when most have none that is known. */
export function detectFormat(rows: Iterable<JsonNode>): DatasetFormat | undefined {
  const formats: (DatasetFormat | undefined)[] = [];
  for (const row of rows) {
    formats.push(rowFormat(row));
    if (formats.length === sampledRows) break;
  }
  return majorityFormat(formats);
}

/** The most frequent format; among equals a known one before none, then the one seen first. */
export function majorityFormat(formats: Iterable<DatasetFormat | undefined>): DatasetFormat | undefined {
  const counts = new Map<DatasetFormat | undefined, number>();
  for (const format of formats) counts.set(format, (counts.get(format) ?? 0) + 1);
  let best: DatasetFormat | undefined;
  let most = 0;
  for (const [format, count] of counts) {
    if (format !== undefined && count > most) {
      best = format;
      most = count;
    }
  }
  return most >= (counts.get(undefined) ?? 0) ? best : undefined;
}

/** The format of one row, told by its fields. */
export function rowFormat(row: JsonNode): DatasetFormat | undefined {
  if (row.type !== "object") return undefined;
  const has = (key: string): boolean => property(row, key) !== undefined;
  if (has("chosen") && has("rejected")) return "preference";
  const list = turnList(row);
  const label = property(row, "label")?.value ?? property(row, "kto_tag")?.value;
  if (label?.type === "boolean" && (list || has("prompt") || has("instruction")))
    return "unpaired-preference";
  if (list) return turnFormat(list.key.value, list.value);
  if (has("instruction") || (has("input") && has("output"))) return "alpaca";
  if (has("prompt") && has("completion")) return "prompt-completion";
  if (has("text")) return "text";
  return misspelledFormat(row);
}

/** The property that holds the turns. */
export function turnList(row: JsonObject): JsonObject["properties"][number] | undefined {
  for (const key of turnListFields) {
    const found = property(row, key);
    if (found) return found;
  }
  return undefined;
}

function turnFormat(key: string, value: JsonNode | undefined): DatasetFormat {
  const byName = key === "messages" ? "messages" : "sharegpt";
  if (value?.type !== "array") return byName;
  for (const turn of value.items) {
    if (turn.type !== "object") continue;
    const has = (name: string): boolean => property(turn, name) !== undefined;
    if (has("role") || has("content")) return "messages";
    if (has("from") || has("value")) return "sharegpt";
  }
  return byName;
}

/** A row whose one telling field is misspelled is still of that format: the misspelling is what must be said. */
function misspelledFormat(row: JsonObject): DatasetFormat | undefined {
  for (const { key, value } of row.properties) {
    if (value?.type === "array") {
      const meant = nearest(key.value, turnListFields);
      if (meant) return turnFormat(meant, value);
    }
    if (value?.type === "string" && nearest(key.value, ["instruction"])) return "alpaca";
  }
  const keys = row.properties.map(({ key }) => key.value);
  const like = (wanted: string): boolean => nearest(wanted, keys) !== undefined;
  return like("prompt") && like("completion") ? "prompt-completion" : undefined;
}

/** The candidate a misspelled word probably means: at most a third of its letters away, at most two. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  let best: string | undefined;
  let least = Math.min(2, Math.floor(lower.length / 3)) + 1;
  for (const candidate of candidates) {
    const edits = distance(lower, candidate);
    if (edits < least) {
      best = candidate;
      least = edits;
    }
  }
  return best;
}
