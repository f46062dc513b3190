import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { type CancellationToken, LSPErrorCodes, ResponseError } from "vscode-languageserver";
import { readConfig } from "../../configs/read-config";
import { tokenizerPathOf } from "../../configs/sources";
import {
  type FindTokenizersParams,
  type FoundTokenizer,
  findTokenizersRequest,
  type TokenizerChoice,
} from "../../protocol";
import { findTokenizerFiles } from "../../tokenizers/tokenizer-files";
import { workspaceFiles } from "../config-index";
import type { ServerContext } from "../context";

/** Answers `ziptie/findTokenizers`. */
export function register(context: ServerContext): void {
  context.connection.onRequest(
    findTokenizersRequest.method,
    async (
      { configs, files, elsewhere }: FindTokenizersParams,
      token: CancellationToken,
    ): Promise<FoundTokenizer[] | ResponseError> => {
      await context.ready;
      const folders = context.workspaceFolders();
      const { tokenizer } = context.settings();
      const candidates: Candidate[] = [
        ...configs.flatMap((config) => ofConfig(config, context)),
        ...(elsewhere && tokenizer !== "" ? folders.map((folder) => fromSetting(folder, tokenizer)) : []),
        ...files.map((path) => ({ path, origin: "file" as const })),
        ...(elsewhere ? (await Promise.all(folders.map((folder) => inPackages(folder, token)))).flat() : []),
      ];
      const found = await usable(candidates, token);
      return token.isCancellationRequested
        ? new ResponseError(LSPErrorCodes.RequestCancelled, "Cancelled.")
        : withNames(found, folders);
    },
  );
}

type Candidate = Omit<FoundTokenizer, "name"> & { name?: string };

function ofConfig(config: string, context: ServerContext): Candidate[] {
  const files = workspaceFiles(context);
  const text = files.readText(config);
  if (text === null) return [];
  const path = tokenizerPathOf(readConfig(text, config), files);
  return path === null ? [] : [{ path, origin: "config" }];
}

const fromSetting = (folder: string, path: string): Candidate => ({
  path: resolve(folder, path),
  origin: "setting",
});

/** Files and folders by which a package that holds a tokenizer is known. */
const inPackage = ["tokenizer.json", "tokenizer.model", join("models", "tokenizer.json")];
/** `js-tiktoken` keeps one file for every encoding. */
const ranks = join("dist", "ranks");

async function inPackages(folder: string, token: CancellationToken): Promise<Candidate[]> {
  const modules = join(folder, "node_modules");
  const found: Candidate[] = [];
  for (const name of await packageNames(modules)) {
    if (token.isCancellationRequested) break;
    const place = join(modules, name);
    for (const file of inPackage) {
      if (await exists(join(place, file))) {
        found.push({ name, path: place, origin: "package" });
        break;
      }
    }
    // Tokenizers' own tests and sources hold ranks, too; only this package is laid out so.
    if (name !== "js-tiktoken") continue;
    for (const file of await entries(join(place, ranks))) {
      if (!file.endsWith(".cjs")) continue;
      const encoding = basename(file, ".cjs");
      found.push({ name: encoding, path: join(place, encoding), origin: "package" });
    }
  }
  return found;
}

async function packageNames(modules: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await entries(modules)) {
    if (name.startsWith(".")) continue;
    if (!name.startsWith("@")) names.push(name);
    else names.push(...(await entries(join(modules, name))).map((each) => `${name}/${each}`));
  }
  return names;
}

const entries = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const exists = (path: string): Promise<boolean> =>
  realpath(path).then(
    () => true,
    () => false,
  );

/** Those that are there, each file once: a config and a search may find the same. */
async function usable(candidates: readonly Candidate[], token: CancellationToken): Promise<Candidate[]> {
  const seen = new Set<string>();
  const found: Candidate[] = [];
  for (const candidate of candidates) {
    if (token.isCancellationRequested) break;
    const files = await findTokenizerFiles(candidate.path).catch(() => undefined);
    const file = files && (await realpath(files.tokenizer).catch(() => undefined));
    if (file === undefined || seen.has(file)) continue;
    seen.add(file);
    found.push(candidate);
  }
  return found;
}

/** Names as short as they can be without two being the same. */
function withNames(candidates: readonly Candidate[], folders: readonly string[]): FoundTokenizer[] {
  const short = candidates.map((candidate) => candidate.name ?? shortName(candidate.path));
  return candidates.map(({ path, origin }, index) => {
    const name = short[index] as string;
    const isUnique = short.filter((each) => each === name).length === 1;
    return { name: isUnique ? name : fromFolder(path, folders), path, origin };
  });
}

/** `llama2` for `models/llama2/tokenizer.json`, `llama2/` and `llama2-tokenizer.json`. */
function shortName(path: string): TokenizerChoice["name"] {
  const name = basename(path);
  const isGeneric = /^tokenizer\.(json|model)$/i.test(name);
  if (isGeneric) return shortName(dirname(path));
  const stem = name.replace(/\.(json|model|tiktoken|cjs)$/i, "").replace(/[-_.]?tokenizer$/i, "");
  // A folder that is only called `tokenizer` says less than the one it stands in.
  return stem === "" || stem === "original" || stem === "models" ? basename(dirname(path)) || name : stem;
}

function fromFolder(path: string, folders: readonly string[]): string {
  const inside = folders
    .map((folder) => relative(folder, path))
    .filter((way) => way !== "" && !way.startsWith(".."))
    .sort((a, b) => a.length - b.length);
  return inside[0] ?? path;
}
