import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { dist } from "./paths.mjs";

/** SHA-256 over the names and contents of files and folders (absent ones count as absent) and over plain values. */
export function fingerprint(paths, ...values) {
  const hash = createHash("sha256");
  const add = (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) {
      for (const name of readdirSync(path).sort()) add(join(path, name));
    } else {
      hash.update(`${path}\0`);
      if (stat) hash.update(readFileSync(path));
    }
  };
  for (const path of paths) add(path);
  hash.update(JSON.stringify(values));
  return hash.digest("hex");
}

/**
 * Does `action` unless it already succeeded for this fingerprint and `result` (a path) is still there.
 * The stamp goes before the work and comes back after it, so that an interrupted step is done again.
 * @returns whether anything was done
 */
export async function unlessDone(name, wanted, result, action) {
  const stamp = resolve(dist, "stamps", name);
  let found = null;
  try {
    found = readFileSync(stamp, "utf8");
  } catch {
    // Never done.
  }
  if (found === wanted && statSync(result, { throwIfNoEntry: false })) return false;
  rmSync(stamp, { force: true });
  await action();
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
  return true;
}
