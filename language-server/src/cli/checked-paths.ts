import { closeSync, openSync, readdirSync, readSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { diskFiles } from "../configs/config-files";
import { datasetEntries } from "../configs/dataset-entries";
import { readConfig } from "../configs/read-config";
import { type DocumentKind, documentKind, kindHeadLength } from "../documents/kind";
import { isBuiltInTemplate } from "../templates/template";
import { runFiles } from "../training/run-directory";
import { unreadable } from "./unreadable";

export interface CheckedPath {
  /** As the user named it, or as it follows from what they named. */
  readonly named: string;
  /** Absolute. */
  readonly path: string;
  readonly kind: DocumentKind;
}

const checkedKinds: ReadonlySet<DocumentKind> = new Set(["training-config", "dataset", "template"]);

/**
 * The files that are meant by the paths of a command line: files as they are; in folders, training configs, datasets and
 * templates; and with every training config the datasets and the template that it names.
 */
export function filesToCheck(paths: readonly string[]): { files: CheckedPath[]; problems: string[] } {
  const collected = new Collector();
  for (const named of paths) {
    try {
      const stat = statSync(named);
      if (stat.isDirectory()) collected.folder(named);
      else if (!stat.isFile()) {
        // A pipe would be waited for, a device never ends.
        collected.problems.push(`${named} is neither a file nor a folder.`);
      } else if (!collected.file(named)) {
        collected.problems.push(
          `${named} is nothing that is checked: that is *.ziptie.yaml, *.jsonl, *.json with rows, and *.jinja.`,
        );
      }
    } catch (error) {
      collected.problems.push(unreadable(named, error));
    }
  }
  collected.namedByConfigs();
  const { files, problems } = collected;
  if (files.length === 0 && problems.length === 0) {
    problems.push(`nothing to check in ${paths.join(", ")}: no *.ziptie.yaml, dataset or template.`);
  }
  return { files, problems };
}

class Collector {
  readonly files: CheckedPath[] = [];
  readonly problems: string[] = [];
  readonly #seen = new Set<string>();
  /** As they are named. */
  readonly #configs: string[] = [];

  /** Whether it is a file that is checked. */
  file(named: string, kind: DocumentKind = kindOf(named)): boolean {
    if (!checkedKinds.has(kind)) return false;
    const real = realpathSync(named);
    if (!this.#seen.has(real)) {
      this.#seen.add(real);
      this.files.push({ named, path: resolve(named), kind });
      if (kind === "training-config") this.#configs.push(named);
    }
    return true;
  }

  /** After what the person has named: a file that they have named too is called as they call it. */
  namedByConfigs(): void {
    for (const config of this.#configs) this.#namedBy(config);
  }

  folder(named: string): void {
    const entries = readdirSync(named, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (isRunDirectory(entries.map(({ name }) => name))) return;
    const folders: string[] = [];
    for (const entry of entries) {
      const path = join(named, entry.name);
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory()) {
        if (entry.name !== "node_modules") folders.push(path);
        continue;
      }
      try {
        if (!entry.isFile() && !statSync(path).isFile()) continue;
        this.file(path);
      } catch (error) {
        // A link that leads nowhere is nobody's dataset unless its name says so.
        if (entry.isSymbolicLink() && !checkedKinds.has(documentKind(path))) continue;
        this.problems.push(unreadable(path, error));
      }
    }
    for (const folder of folders) this.folder(folder);
  }

  /** What a config names is checked with it, wherever it lies; what is not there is the config's own mistake. */
  #namedBy(config: string): void {
    const path = resolve(config);
    const text = diskFiles.readText(path);
    const read = text === null ? null : readConfig(text, path).partial;
    if (!read) return;
    // A vocabulary is trained on texts of any kind; only those in rows are checked.
    const rows: DocumentKind | undefined = read.stage === "vocabulary" ? undefined : "dataset";
    const written = (["dataset", "eval_dataset", "check_dataset"] as const)
      .flatMap((key) => datasetEntries(read, key))
      .map(({ entry }): { path: string; kind: DocumentKind | undefined } => ({
        path: entry.path,
        kind: rows,
      }));
    const template = read.chat_template_path;
    if (template !== undefined && !isBuiltInTemplate(template))
      written.push({ path: template, kind: "template" });
    for (const { path: file, kind } of written) {
      const named = isAbsolute(file) ? file : join(dirname(config), file);
      if (diskFiles.kind(resolve(named)) === "file") this.file(named, kind);
    }
  }
}

/** A run's directory holds copies and logs, not a person's files. */
function isRunDirectory(names: readonly string[]): boolean {
  return names.includes(runFiles.run) && names.includes(runFiles.config);
}

function kindOf(path: string): DocumentKind {
  return documentKind(path, undefined, /\.json$/i.test(path) ? headOf(path) : undefined);
}

function headOf(path: string): string {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(kindHeadLength);
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, kindHeadLength, 0));
  } finally {
    closeSync(file);
  }
}
