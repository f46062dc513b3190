/** A `tokenizer.json` with a BPE model, as far as its vocabulary is to be extended. */
import { inByteAlphabet } from "../byte-alphabet";
import { TokenizerError } from "../tokenizer-error";
import { parseJsonFile, parseTokenizerJson } from "../tokenizer-json";
import { BpeVocabulary } from "./bpe-vocabulary";

type JsonObject = { [key: string]: unknown };

/** How a word's beginning is told from the inside of a word. */
export interface WordStart {
  /** What stands for a space in a text that is cut into words: `▁`, or the space itself. */
  readonly mark: string;
  /** Whether a text begins with one though it has no space there. */
  readonly prepended: boolean;
}

export interface BaseTokenizer {
  readonly path: string;
  /** The whole file. */
  readonly json: JsonObject;
  readonly vocabulary: BpeVocabulary;
  /** Ids are below this, those of added tokens among them. */
  readonly size: number;
  readonly addedTokens: readonly { readonly id: number; readonly content: string }[];
  /** Tokens are runs of bytes, written in GPT-2's alphabet. */
  readonly byteLevel: boolean;
  readonly wordStart: WordStart;
  /** A text as the vocabulary writes it. */
  toVocabulary(text: string): string;
}

/** @throws TokenizerError when the file is none, or has no BPE model that can be extended */
export function readBaseTokenizer(text: string, path: string): BaseTokenizer {
  const { addedTokens, byteLevel, byteFallback, model: type } = parseTokenizerJson(text, path);
  const json = parseJsonFile(text, path) as JsonObject;
  const model = json.model as JsonObject;
  const unsupported = (what: string) =>
    new TokenizerError("unsupported", path, `The vocabulary of ${path} cannot be extended: ${what}.`);
  if (type !== "BPE") throw unsupported(`its model is ${type}; only BPE has merges to add to`);
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[key]) throw unsupported(`its model has a \`${key}\``);
  }
  const unknown = typeof model.unk_token === "string" ? model.unk_token : undefined;
  const vocabulary = new BpeVocabulary(entriesOf(model.vocab), mergesOf(model.merges), {
    byteFallback,
    unknown,
  });
  const size = [...vocabulary.ids.values(), ...addedTokens.map(({ id }) => id)].reduce(
    (largest, id) => Math.max(largest, id + 1),
    0,
  );
  return {
    path,
    json,
    vocabulary,
    size,
    addedTokens,
    byteLevel,
    wordStart: wordStartOf(json, byteLevel),
    toVocabulary: byteLevel ? (written) => inByteAlphabet(Buffer.from(written)) : (written) => written,
  };
}

function entriesOf(vocabulary: unknown): Map<string, number> {
  return new Map(Object.entries(vocabulary as Record<string, number>));
}

/** Written as pairs, or, by older releases, with a space between the two. */
function mergesOf(merges: unknown): [string, string][] {
  return (merges as (string | [string, string])[]).map((merge) => {
    if (typeof merge !== "string") return merge;
    const space = merge.indexOf(" ");
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

function wordStartOf(json: JsonObject, byteLevel: boolean): WordStart {
  const parts = [...partsOf(json.normalizer, "normalizers"), ...partsOf(json.pre_tokenizer, "pretokenizers")];
  const metaspace = parts.find(({ type }) => type === "Metaspace");
  if (metaspace) {
    const scheme = metaspace.prepend_scheme ?? (metaspace.add_prefix_space === false ? "never" : "always");
    return { mark: String(metaspace.replacement ?? "▁"), prepended: scheme !== "never" };
  }
  if (byteLevel) {
    const prefix = parts.some(
      ({ type, add_prefix_space }) => type === "ByteLevel" && add_prefix_space === true,
    );
    return { mark: " ", prepended: prefix };
  }
  const replace = parts.find(
    ({ type, pattern }) => type === "Replace" && (pattern as JsonObject | undefined)?.String === " ",
  );
  return {
    mark: typeof replace?.content === "string" && replace.content !== "" ? replace.content : " ",
    prepended: parts.some(({ type }) => type === "Prepend"),
  };
}

function partsOf(part: unknown, sequence: string): JsonObject[] {
  if (typeof part !== "object" || part === null) return [];
  const listed = (part as JsonObject)[sequence];
  return Array.isArray(listed) ? listed.flatMap((item) => partsOf(item, sequence)) : [part as JsonObject];
}
