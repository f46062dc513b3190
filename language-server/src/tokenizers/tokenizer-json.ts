/**
 * Reads `tokenizer.json` as far as Ziptie needs to know it, and refuses what would make the native library abort the
 * whole process instead of throwing.
 */

import { type ParseError, parse as parseTolerantly } from "jsonc-parser";
import { checkPrecompiledCharsmap } from "./charsmap";
import { addedTokenFlags } from "./declared-tokens";
import type { JsonObject } from "./json-object";
import { type CutRules, cutRulesOf } from "./long-text";
import { TokenizerError } from "./tokenizer-error";
import type { AddedTokenEntry, VocabularyFacts } from "./vocabulary-facts";

export interface TokenizerJson extends VocabularyFacts {
  /** BPE, Unigram, WordPiece or WordLevel. */
  readonly model: string;
  /** How a long text may be cut; null where it may not. */
  readonly cutRules: CutRules | null;
}

/** Sequences of sequences; the library refuses JSON of 128 levels. */
const MAX_DEPTH = 64;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws TokenizerError `malformed`, with the place in the file where it is not JSON */
export function parseTokenizerJson(text: string, path: string): TokenizerJson {
  const malformed = (what: string): never => {
    throw new TokenizerError("malformed", path, `${path} is not a tokenizer: ${what}.`);
  };
  const root = parseJsonFile(text, path);
  if (!isObject(root)) return malformed("a JSON object is expected");
  const { model } = root;
  if (!isObject(model)) {
    return malformed(
      "it has no `model`. Expected is the `tokenizer.json` that transformers' `save_pretrained` writes",
    );
  }
  const addedTokens = readAddedTokens(root.added_tokens, malformed);
  checkPostProcessor(root.post_processor, malformed);
  checkNormalizer(root.normalizer, malformed);
  checkMerges(model, malformed);
  return {
    addedTokens,
    model: typeof model.type === "string" ? model.type : "BPE",
    byteFallback: model.byte_fallback === true,
    byteLevel: mentions(root.pre_tokenizer, "ByteLevel") || mentions(root.decoder, "ByteLevel"),
    unknown: unknownOf(model),
    cutRules: cutRulesOf(root, addedTokens),
  };
}

function unknownOf(model: JsonObject): string | undefined {
  if (typeof model.unk_token === "string") return model.unk_token;
  // Unigram lists its pieces with their scores.
  const piece =
    Array.isArray(model.vocab) && typeof model.unk_id === "number" ? model.vocab[model.unk_id] : undefined;
  return Array.isArray(piece) && typeof piece[0] === "string" ? piece[0] : undefined;
}

/** @throws TokenizerError `malformed`, naming line and column */
export function parseJsonFile(text: string, path: string): unknown {
  if (text.trim() === "") throw new TokenizerError("malformed", path, `${path} is empty.`);
  try {
    return JSON.parse(text);
  } catch {
    // V8 does not always say where.
    const errors: ParseError[] = [];
    parseTolerantly(text, errors, { disallowComments: true });
    const [first] = errors;
    // A string that is cut off begins before the end, and reaches to it.
    const cutOff = first === undefined || first.offset + first.length >= text.trimEnd().length;
    const offset = cutOff ? text.length : first.offset;
    const before = text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    const what = cutOff ? "ends in the middle: it is cut off" : "is not JSON";
    throw new TokenizerError("malformed", path, `${path} ${what} at line ${line}, column ${column}.`);
  }
}

function readAddedTokens(entries: unknown, malformed: (what: string) => never): AddedTokenEntry[] {
  if (entries === undefined || entries === null) return [];
  if (!Array.isArray(entries)) return malformed("its `added_tokens` is not a list");
  return entries.map((entry: unknown, index) => {
    if (!isObject(entry) || typeof entry.content !== "string" || !Number.isInteger(entry.id)) {
      return malformed(`entry ${index} of \`added_tokens\` lacks \`id\` or \`content\``);
    }
    return { ...addedTokenFlags(entry), id: entry.id as number, content: entry.content };
  });
}

/** The library aborts at a template that names a special token it does not define. */
function checkPostProcessor(processor: unknown, malformed: (what: string) => never, depth = 0): void {
  if (!isObject(processor)) return;
  if (depth > MAX_DEPTH) malformed("its post-processor nests too deeply");
  if (processor.type === "Sequence" && Array.isArray(processor.processors)) {
    for (const part of processor.processors) checkPostProcessor(part, malformed, depth + 1);
  }
  if (processor.type !== "TemplateProcessing") return;
  const defined = isObject(processor.special_tokens) ? processor.special_tokens : {};
  for (const template of [processor.single, processor.pair]) {
    if (!Array.isArray(template)) continue;
    for (const piece of template) {
      const token = isObject(piece) ? piece.SpecialToken : undefined;
      const id = isObject(token) ? token.id : undefined;
      if (typeof id === "string" && !Object.hasOwn(defined, id)) {
        malformed(`its post-processor uses the special token \`${id}\` without defining it`);
      }
    }
  }
}

/** The library aborts at a character map that is cut off or leads outside itself. */
function checkNormalizer(normalizer: unknown, malformed: (what: string) => never, depth = 0): void {
  if (!isObject(normalizer)) return;
  if (depth > MAX_DEPTH) malformed("its normalizer nests too deeply");
  if (Array.isArray(normalizer.normalizers)) {
    for (const part of normalizer.normalizers) checkNormalizer(part, malformed, depth + 1);
  }
  if (normalizer.type !== "Precompiled") return;
  const map = normalizer.precompiled_charsmap;
  const wrong = typeof map === "string" ? checkPrecompiledCharsmap(map) : "it is missing";
  if (wrong) malformed(`its normalizer's \`precompiled_charsmap\` is broken: ${wrong}`);
}

/** The library aborts at a merge whose second part lacks the prefix that it wants to take away. */
function checkMerges(model: JsonObject, malformed: (what: string) => never): void {
  const prefix = model.continuing_subword_prefix;
  if (typeof prefix !== "string" || prefix === "" || !Array.isArray(model.merges)) return;
  for (const [index, merge] of model.merges.entries()) {
    const second: unknown = Array.isArray(merge) ? merge[1] : String(merge).split(" ")[1];
    if (typeof second === "string" && !second.startsWith(prefix)) {
      malformed(`merge ${index} continues a word without \`continuing_subword_prefix\``);
    }
  }
}

function mentions(part: unknown, type: string, depth = 0): boolean {
  if (depth > MAX_DEPTH) return false;
  if (Array.isArray(part)) return part.some((item) => mentions(item, type, depth + 1));
  if (!isObject(part)) return false;
  return (
    part.type === type ||
    mentions(part.pretokenizers, type, depth + 1) ||
    mentions(part.decoders, type, depth + 1)
  );
}
