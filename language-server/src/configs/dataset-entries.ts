import type { KeyPath } from "./key-path";
import type { DatasetEntry, PartialConfig } from "./schema";

/** The datasets under a key, one shape for all ways of writing them, each with the path of its value in the config. */
export function datasetEntries(
  config: PartialConfig,
  key: "dataset" | "eval_dataset" | "check_dataset",
): { path: KeyPath; entry: DatasetEntry; pathKey: KeyPath }[] {
  const value = config[key];
  if (value === undefined) return [];
  const listed = Array.isArray(value);
  return (listed ? value : [value]).map((item, index) => {
    const path: KeyPath = listed ? [key, index] : [key];
    return typeof item === "string"
      ? { path, pathKey: path, entry: { path: item, weight: 1 } }
      : { path, pathKey: [...path, "path"], entry: item };
  });
}
