import { readdirSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { type ConfigFiles, diskFiles } from "../configs/config-files";
import { datasetEntries } from "../configs/dataset-entries";
import { type ConfigReading, readConfig } from "../configs/read-config";
import { chatTemplateSource, isConfigPath, tokenizerPathOf } from "../configs/sources";
import type { DatasetFormatName } from "../configs/training-plan";
import { severitiesOf } from "../rules/config-rules";
import { mergedSeverities } from "../rules/diagnostics";
import type { RuleSeverities } from "../rules/severity";
import type { EncodingSetup } from "./analysis-protocol";
import type { ServerContext } from "./context";
import { pathOfUri } from "./open-documents";

/** The disk with the editor's open buffers laid over it. */
export function workspaceFiles({ documents }: Pick<ServerContext, "documents">): ConfigFiles {
  return {
    ...diskFiles,
    readText: (path) => documents.getByPath(path)?.getText() ?? diskFiles.readText(path),
  };
}

type IndexContext = Pick<ServerContext, "documents" | "workspaceFolders" | "settings">;

/** Finds the configs that name a file: those that are open, and those in its folder and above, up to the workspace's root. */
export class ConfigIndex {
  readonly #context: IndexContext;
  readonly #readings = new Map<string, { stamp: string; reading: ConfigReading }>();

  constructor(context: IndexContext) {
    this.#context = context;
  }

  /** The configs that name a dataset or template, the one that speaks for it first. */
  naming(path: string): ConfigReading[] {
    const readings = this.#candidates(path).flatMap((candidate) => this.#read(candidate) ?? []);
    return readings.filter((reading) => names(reading, path));
  }

  /** What a config says about checking a file that it names. */
  checking(path: string): { severities: RuleSeverities; format: DatasetFormatName | null } {
    const [config] = this.naming(path);
    return {
      severities: mergedSeverities(this.#context.settings().rules, config ? severitiesOf(config) : {}),
      format: config ? formatOf(config, path) : null,
    };
  }

  /** How a dataset's rows become tokens, or why that is not known. */
  setup(path: string): EncodingSetup | { refused: string } {
    const [reading] = this.naming(path);
    if (reading?.partial) {
      const { partial: config } = reading;
      const folder = dirname(reading.path);
      const tokenizer = tokenizerPathOf(reading, workspaceFiles(this.#context));
      if (tokenizer === null) return { refused: `${reading.path} names no tokenizer.` };
      return {
        tokenizer,
        template:
          config.stage === "pretrain" || config.stage === "vocabulary"
            ? null
            : chatTemplateSource(config.chat_template_path, folder),
        format: formatOf(reading, path),
        max_length: config.max_length,
        truncation: config.truncation,
        config: reading.path,
      };
    }
    const { tokenizer } = this.#context.settings();
    if (tokenizer === "") {
      return {
        refused:
          "No config names this dataset, and the setting `ziptie.tokenizer` is empty, so there is no tokenizer to count with.",
      };
    }
    return {
      tokenizer: resolve(this.#root(path), tokenizer),
      template: { kind: "tokenizer" },
      format: null,
      max_length: null,
      truncation: "cut",
      config: null,
    };
  }

  /** The workspace folder that a file lies in, else the file's own folder. */
  #root(path: string): string {
    const folders = this.#context.workspaceFolders().filter((folder) => isInside(path, folder));
    return folders.sort((a, b) => b.length - a.length)[0] ?? dirname(path);
  }

  #candidates(path: string): string[] {
    const open = this.#context.documents.all().flatMap(({ uri }) => {
      const config = pathOfUri(uri);
      return config && isConfigPath(config) ? [config] : [];
    });
    const near: string[] = [];
    const root = this.#root(path);
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      near.push(...configsIn(folder));
      if (folder === root || dirname(folder) === folder) break;
    }
    return [...new Set([...open, ...near])];
  }

  #read(path: string): ConfigReading | null {
    const open = this.#context.documents.getByPath(path);
    const stamp = open ? `open ${open.version}` : stampOf(path);
    const known = this.#readings.get(path);
    if (known?.stamp === stamp) return known.reading;
    const text = open?.getText() ?? diskFiles.readText(path);
    if (text === null) return null;
    const reading = readConfig(text, path);
    this.#readings.set(path, { stamp, reading });
    return reading;
  }
}

/** The format that a config gives one of its datasets. */
function formatOf({ partial: config, path }: ConfigReading, file: string): DatasetFormatName | null {
  if (!config) return null;
  const entries = (["dataset", "eval_dataset"] as const).flatMap((key) => datasetEntries(config, key));
  return entries.find(({ entry }) => resolve(dirname(path), entry.path) === file)?.entry.format ?? null;
}

function names({ partial: config, path }: ConfigReading, file: string): boolean {
  if (!config) return false;
  const folder = dirname(path);
  const named = (["dataset", "eval_dataset"] as const)
    .flatMap((key) => datasetEntries(config, key))
    .map(({ entry }) => entry.path);
  if (config.chat_template_path !== undefined) named.push(config.chat_template_path);
  return named.some((written) => resolve(folder, written) === file);
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && !way.startsWith("..") && !way.startsWith("/");
}

function configsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter(isConfigPath)
      .sort()
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function stampOf(path: string): string {
  try {
    const { mtimeMs, size } = statSync(path);
    return `${mtimeMs} ${size}`;
  } catch {
    return "absent";
  }
}
