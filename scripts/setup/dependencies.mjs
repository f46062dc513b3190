import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root } from "../paths.mjs";
import { findProgram, Problem, run, step } from "../processes.mjs";

/** onnxruntime-node's installer would fetch GPU libraries from elsewhere; nothing here needs them. */
const environment = { ONNXRUNTIME_NODE_INSTALL: "skip" };

function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return null;
  }
}

/** Whether node_modules holds what the lock file asks for, by the record npm itself keeps of what it installed. */
function installed() {
  const wanted = readLock(join(root, "package-lock.json"));
  const found = readLock(join(root, "node_modules", ".package-lock.json"));
  if (wanted === null) throw new Problem("package-lock.json is missing or damaged; check it out again.");
  if (found === null) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const there = found[path];
    if (there === undefined) return entry.optional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

/** Installs the locked npm packages, without running any of their scripts. */
export async function installDependencies() {
  if (installed()) return;
  if (findProgram("npm") === null) throw new Problem("npm is not on the PATH; it comes with Node.");
  await step("install npm packages", () =>
    run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { env: environment }),
  );
}

/** Makes `npx ziptie` find the program that was built. */
export function linkCommand() {
  const program = join(root, "dist", "cli.js");
  if (!existsSync(program)) return;
  chmodSync(program, 0o755);
  const bin = join(root, "node_modules", ".bin");
  mkdirSync(bin, { recursive: true });
  const link = join(bin, "ziptie");
  rmSync(link, { force: true });
  symlinkSync(join("..", "..", "dist", "cli.js"), link);
}
