import { join } from "node:path";
import type { ConfigFiles } from "./config-files";

/** Larger files are left to the moment of training, which loads them anyway. */
const longestText = 32_000_000;

/** By path; the text is compared, so that a file that changed is read anew. */
const known = new Map<string, { text: string; size: number | null }>();
const keptSizes = 8;

/**
 * How many ids a tokenizer has (its largest and one), from its `tokenizer.json` alone.
 * @param path absolute path of a directory or of a `tokenizer.json`
 * @returns null when that is not said there in a way that is quickly read
 */
export function tokenizerSize(path: string, files: ConfigFiles): number | null {
  const file = files.kind(path) === "directory" ? join(path, "tokenizer.json") : path;
  if (files.kind(file) !== "file") return null;
  const text = files.readText(file);
  if (text === null || text.length > longestText) return null;
  const before = known.get(file);
  if (before?.text === text) return before.size;
  const size = sizeIn(text);
  known.delete(file);
  known.set(file, { text, size });
  for (const oldest of known.keys()) {
    if (known.size > keptSizes) known.delete(oldest);
  }
  return size;
}

function sizeIn(text: string): number | null {
  let root: { model?: { vocab?: unknown }; added_tokens?: unknown };
  try {
    root = JSON.parse(text) ?? {};
  } catch {
    return null;
  }
  const vocabulary = root.model?.vocab;
  if (typeof vocabulary !== "object" || vocabulary === null) return null;
  // Unigram has a list of [token, score]; the others a mapping from token to id.
  let largest = Array.isArray(vocabulary) ? vocabulary.length - 1 : -1;
  const ids: unknown[] = Array.isArray(vocabulary) ? [] : Object.values(vocabulary);
  if (Array.isArray(root.added_tokens)) ids.push(...root.added_tokens.map((token) => token?.id));
  for (const id of ids) if (typeof id === "number" && id > largest) largest = id;
  return largest < 0 ? null : largest + 1;
}
