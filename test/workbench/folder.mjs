import { cpSync } from "node:fs";
import { join, sep } from "node:path";
import { root } from "../../scripts/paths.mjs";

/** Fills the folder that a test opens: the example, with a few files that are broken on purpose beside its own. */
export function prepareFolder(folder) {
  const isRuns = (path) => path.endsWith(`${sep}runs`);
  for (const source of [
    ["examples", "traditional-chinese"],
    ["test", "workbench", "workspace"],
  ]) {
    cpSync(join(root, ...source), folder, { recursive: true, filter: (path) => !isRuns(path) });
  }
}
