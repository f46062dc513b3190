import { readdirSync, readFileSync, statSync } from "node:fs";

/** What a config's checks need of the disk; an editor lays its open buffers over it. */
export interface ConfigFiles {
  /** What is at an absolute path; null when nothing is, or it cannot be looked at. */
  kind(path: string): "file" | "directory" | null;
  /** The text of a file; null when it cannot be read. */
  readText(path: string): string | null;
  /** Names in a directory; empty when it cannot be read. */
  names(path: string): readonly string[];
}

/** The disk as it is. */
export const diskFiles: ConfigFiles = {
  kind(path) {
    try {
      const stat = statSync(path);
      return stat.isDirectory() ? "directory" : stat.isFile() ? "file" : null;
    } catch {
      return null;
    }
  },
  readText(path) {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return null;
    }
  },
  names(path) {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
};
