/** A Hugging Face tokenizer, loaded from its files and kept while they stay as they are. */
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { AddedToken, Tokenizer as NativeTokenizer } from "tokenizers";
import { chatTemplatesOf, type NamedTemplate } from "../templates/chat-template";
import { isPartOfCharacter } from "./byte-alphabet";
import { Encoded } from "./encoded";
import { readSpecialTokens, type SpecialTokens } from "./special-tokens";
import { TokenizerError } from "./tokenizer-error";
import {
  type AddedTokenEntry,
  addedTokenFlags,
  parseJsonFile,
  parseTokenizerJson,
  type TokenizerJson,
} from "./tokenizer-json";

export interface EncodeOptions {
  /** Whether the tokenizer's post-processor adds BOS and the like. Special tokens written in the text count always. */
  readonly addSpecialTokens: boolean;
}

export type TokenKind = "text" | "special" | "byte";

export class LoadedTokenizer {
  readonly #native: NativeTokenizer;
  readonly #byteFallback: boolean;
  readonly #byteLevel: boolean;
  readonly #added: ReadonlyMap<number, AddedTokenEntry>;
  readonly #names = new Map<number, string>();

  constructor(
    /** As the caller named it. */
    readonly path: string,
    native: NativeTokenizer,
    json: TokenizerJson,
    readonly special: SpecialTokens,
    /** From `tokenizer_config.json` and `chat_template.jinja`; the default one first. */
    readonly chatTemplates: readonly NamedTemplate[],
  ) {
    this.#native = native;
    this.#byteFallback = json.byteFallback;
    this.#byteLevel = json.byteLevel;
    this.#added = new Map(json.addedTokens.map((entry) => [entry.id, entry]));
    this.vocabSize = json.addedTokens.reduce(
      (size, { id }) => Math.max(size, id + 1),
      native.getVocabSize(true),
    );
  }

  /** Ids are below this. */
  readonly vocabSize: number;

  /** The default chat template's source, if the tokenizer carries one. */
  get chatTemplate(): string | undefined {
    return this.chatTemplates[0]?.source;
  }

  /** @throws TokenizerError `incomplete` when the text has a character that the vocabulary cannot express at all */
  async encode(text: string, { addSpecialTokens }: EncodeOptions): Promise<Encoded> {
    const encoding = await this.#encoding(() => this.#native.encode(text, null, { addSpecialTokens }));
    return new Encoded(text, encoding, this.token);
  }

  /** As `encode`, of many texts on all cores. */
  async encodeBatch(texts: readonly string[], { addSpecialTokens }: EncodeOptions): Promise<Encoded[]> {
    const batch = await this.#encoding(() => this.#native.encodeBatch([...texts], { addSpecialTokens }));
    return batch.map((encoding, index) => new Encoded(texts[index] ?? "", encoding, this.token));
  }

  async #encoding<Result>(encode: () => Promise<Result>): Promise<Result> {
    try {
      return await encode();
    } catch (error) {
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
    return this.#native.tokenToId(token) ?? undefined;
  }

  kind(id: number): TokenKind {
    const added = this.#added.get(id);
    if (added) return added.special ? "special" : "text";
    const token = this.token(id);
    if (this.#byteFallback && /^<0x[\dA-F]{2}>$/.test(token)) return "byte";
    return this.#byteLevel && isPartOfCharacter(token) ? "byte" : "text";
  }

  /** A token as the vocabulary writes it; an id outside the vocabulary is written as its number. */
  readonly token = (id: number): string => {
    // The library gives an added token that its normaliser touches by the normalised name, e.g. `▁</s>`.
    const known = this.#added.get(id)?.content ?? this.#names.get(id);
    if (known !== undefined) return known;
    const token = this.#native.idToToken(id) ?? String(id);
    this.#names.set(id, token);
    return token;
  };
}

interface TokenizerFiles {
  tokenizer: string;
  config: string | undefined;
  modelConfig: string | undefined;
  template: string | undefined;
}

/** Tokenizers kept in memory; each may take some hundred megabytes. */
const KEPT = 6;
const cache = new Map<string, { signature: string; tokenizer: Promise<LoadedTokenizer> }>();

/**
 * @param path a directory with `tokenizer.json`, or such a file under any name. `tokenizer_config.json`, `config.json`
 * and `chat_template.jinja` are read beside a file named `tokenizer.json`.
 * @throws TokenizerError
 */
export async function loadTokenizer(path: string): Promise<LoadedTokenizer> {
  const files = await findFiles(path);
  const signature = await signatureOf(Object.values(files).filter((file) => file !== undefined));
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

async function findFiles(path: string): Promise<TokenizerFiles> {
  const absolute = resolve(path);
  const info = await stat(absolute).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  const directory = info.isDirectory() ? absolute : dirname(absolute);
  if (!info.isDirectory() && absolute.endsWith(".model")) throw sentencePiece(path);
  const tokenizer = info.isDirectory() ? join(directory, "tokenizer.json") : absolute;
  if (info.isDirectory() && !(await exists(tokenizer))) {
    if (await exists(join(directory, "tokenizer.model"))) throw sentencePiece(join(path, "tokenizer.model"));
    throw new TokenizerError("missing", path, `There is no tokenizer.json in ${path}.`);
  }
  const beside = async (name: string) => {
    if (basename(tokenizer) !== "tokenizer.json") return undefined;
    const file = join(directory, name);
    return (await exists(file)) ? file : undefined;
  };
  return {
    tokenizer,
    config: await beside("tokenizer_config.json"),
    modelConfig: await beside("config.json"),
    template: await beside("chat_template.jinja"),
  };
}

function sentencePiece(path: string): TokenizerError {
  const message =
    `${path} is a SentencePiece model, which is not read. Convert it to tokenizer.json with transformers: ` +
    "AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY).";
  return new TokenizerError("unsupported", path, message);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

async function signatureOf(files: string[]): Promise<string> {
  const infos = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  return infos.map((info, index) => `${files[index]} ${info?.mtimeMs} ${info?.size}`).join("\n");
}

function unreadable(path: string, error: unknown): TokenizerError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new TokenizerError("missing", path, `There is no tokenizer at ${path}.`);
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new TokenizerError("unreadable", path, `${path} cannot be read: ${reason}.`);
}

async function readText(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).replace(/^\ufeff/, "");
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function load(path: string, files: TokenizerFiles): Promise<LoadedTokenizer> {
  const text = await readText(files.tokenizer);
  const json = parseTokenizerJson(text, files.tokenizer);
  const config = files.config ? asObject(parseJsonFile(await readText(files.config), files.config)) : {};
  const modelConfig = files.modelConfig ? await readOptionalJson(files.modelConfig) : {};
  let native: NativeTokenizer;
  try {
    native = NativeTokenizer.fromString(text);
    // A truncation or padding in the file would lose or add tokens behind everyone's back.
    native.disableTruncation();
    native.disablePadding();
    addDeclaredTokens(native, json, config, files.config ?? "");
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TokenizerError(
      "malformed",
      files.tokenizer,
      `${files.tokenizer} is not a tokenizer: ${reason}.`,
    );
  }
  const special = readSpecialTokens(native, json, config, modelConfig);
  const templates = chatTemplatesOf(config.chat_template);
  if (files.template) {
    // As in transformers, the file wins over the field.
    const source = await readText(files.template);
    templates.splice(0, templates[0]?.name === "default" ? 1 : 0, { name: "default", source });
  }
  return new LoadedTokenizer(path, native, json, special, templates);
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** A model's `config.json` only helps to find BOS and EOS; whoever needs more of it says what is wrong with it. */
async function readOptionalJson(path: string): Promise<Record<string, unknown>> {
  try {
    return asObject(JSON.parse(await readText(path)));
  } catch {
    return {};
  }
}

/** `added_tokens_decoder` may declare tokens that `tokenizer.json` lacks; transformers adds them when it loads. */
function addDeclaredTokens(
  native: NativeTokenizer,
  json: TokenizerJson,
  config: Record<string, unknown>,
  path: string,
): void {
  const known = new Set(json.addedTokens.map(({ id }) => id));
  const declared = Object.entries(asObject(config.added_tokens_decoder))
    .map(([id, entry]) => ({ id: Number(id), entry: asObject(entry) }))
    .filter(({ id, entry }) => Number.isInteger(id) && typeof entry.content === "string" && !known.has(id))
    .sort((left, right) => left.id - right.id);
  for (const { id, entry } of declared) {
    const content = entry.content as string;
    const { special, singleWord, leftStrip, rightStrip, normalized } = addedTokenFlags(entry);
    const options = { singleWord, leftStrip, rightStrip, normalized };
    native.addAddedTokens([new AddedToken(content, special, options)]);
    const got = native.tokenToId(content);
    if (got !== id) {
      const message = `${path} declares the token \`${content}\` as ${id}, but tokenizer.json makes it ${got}.`;
      throw new TokenizerError("malformed", path, message);
    }
    json.addedTokens.push({ id, content, ...addedTokenFlags(entry) });
  }
}
