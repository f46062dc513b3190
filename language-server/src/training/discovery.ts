import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { readConfig } from "../configs/read-config";
import { isConfigPath } from "../configs/sources";
import { runFiles } from "./run-directory";

/** Folders that hold neither configs nor runs of a person's own. */
const passedOver = new Set(["node_modules", "__pycache__", "site-packages"]);
/** Nobody keeps runs deeper than this, and nobody wants a whole disk searched. */
const deepest = 8;
const mostFolders = 20_000;

/**
 * Where runs can be, below some folders: the directories that runs were found in, and the `output_dir` of every config, wherever it
 * points. Folders that cannot be read are passed over, and symbolic links are not followed.
 * @returns absolute paths
 */
export async function outputDirectories(folders: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  let queue = folders.map((folder) => ({ folder: resolve(folder), depth: 0 }));
  for (let visited = 0; queue.length > 0 && visited < mostFolders; ) {
    const next: typeof queue = [];
    for (const { folder, depth } of queue) {
      if (++visited > mostFolders) break;
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      if (entries.some(({ name }) => name === runFiles.run)) {
        found.add(dirname(folder));
        continue;
      }
      for (const entry of entries) {
        const path = join(folder, entry.name);
        if (entry.isFile() && isConfigPath(entry.name)) {
          const directory = await outputDirectoryOf(path);
          if (directory !== undefined) found.add(directory);
        } else if (
          entry.isDirectory() &&
          depth < deepest &&
          !entry.name.startsWith(".") &&
          !passedOver.has(entry.name)
        ) {
          next.push({ folder: path, depth: depth + 1 });
        }
      }
    }
    queue = next;
  }
  return [...found];
}

async function outputDirectoryOf(config: string): Promise<string | undefined> {
  try {
    const output = readConfig(await readFile(config, "utf8"), config).config?.output_dir;
    return output === undefined ? undefined : resolve(dirname(config), output);
  } catch {
    return undefined;
  }
}

/** Directories of this name that hold a run, below a folder. */
export async function runsNamed(name: string, folder: string): Promise<string[]> {
  const runs: string[] = [];
  for (const directory of await outputDirectories([folder])) {
    const run = join(directory, name);
    const files = await readdir(run).catch((): string[] => []);
    if (basename(run) === name && files.includes(runFiles.run)) runs.push(run);
  }
  return runs;
}
