import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { dist } from "../paths.mjs";
import { CommandFailed, findProgram, Problem, run, step } from "../processes.mjs";
import { ensurePrerequisites } from "../setup/prerequisites.mjs";
import { fingerprint, unlessDone } from "../stamps.mjs";

const version = "4.100.3";
const home = join(dist, "code-server");
const server = join(home, "node_modules", "code-server");
const vscode = join(server, "lib", "vscode");
export const codeServerEntry = join(server, "out", "node", "entry.js");

/** Where the headers of the Node that runs this lie; node-gyp would otherwise download them from nodejs.org. */
async function nodeHeaders() {
  for (const prefix of [dirname(dirname(process.execPath)), "/usr"]) {
    if (existsSync(join(prefix, "include", "node", "node.h"))) return prefix;
  }
  const major = process.versions.node.split(".")[0];
  const name = `node-linux-${process.arch}`;
  await run("npm", ["install", `${name}@${major}`, "--prefix", home, "--ignore-scripts", "--no-save"]);
  return join(home, "node_modules", name);
}

async function rebuild(directory, nodedir, ...packages) {
  await run("npm", ["rebuild", ...packages], { cwd: directory, env: { npm_config_nodedir: nodedir } });
}

/** code-server's own post-install links, which --ignore-scripts leaves out. */
function linkModules() {
  const modules = join(vscode, "node_modules.asar");
  rmSync(modules, { force: true });
  symlinkSync("node_modules", modules);
  const helper = join(vscode, "bin", "helpers", "browser.sh");
  rmSync(helper, { force: true });
  symlinkSync("browser-linux.sh", helper);
}

function placeRipgrep() {
  const found = findProgram("rg");
  if (found === null) throw new Problem("ripgrep (rg) is not on the PATH.");
  const bin = join(vscode, "node_modules", "@vscode", "ripgrep", "bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync(found, join(bin, "rg"));
  chmodSync(join(bin, "rg"), 0o755);
}

async function install() {
  const npm = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  // A package.json of its own, or npm would install into the repository's.
  writeFileSync(join(home, "package.json"), `${JSON.stringify({ private: true })}\n`);
  await run("npm", [...npm, `code-server@${version}`], { cwd: home });
  await run("npm", [...npm, "--omit=dev"], { cwd: vscode });
  const headers = await nodeHeaders();
  await rebuild(vscode, headers, "native-watchdog", "@vscode/spdlog", "@parcel/watcher");
  try {
    await rebuild(vscode, headers, "node-pty");
  } catch (error) {
    // Its post-install script may stumble after the build itself is done.
    const built = existsSync(join(vscode, "node_modules", "node-pty", "build", "Release", "pty.node"));
    if (!(error instanceof CommandFailed) || !built) throw error;
  }
  await rebuild(home, headers, "argon2");
  linkModules();
  placeRipgrep();
}

/**
 * Installs code-server, the VS Code workbench for a browser, into dist/code-server. It serves `npm start` and the workbench tests
 * on machines without a desktop VS Code, and is no part of the product.
 */
export async function installCodeServer() {
  const [major] = process.versions.node.split(".");
  if (major !== "20") {
    throw new Problem(
      `The browser workbench (code-server ${version}) runs on Node 20; this is ${process.version}.\n` +
        "Use Node 20, or put a desktop VS Code's `code` on the PATH.",
    );
  }
  await ensurePrerequisites("codeServer");
  await unlessDone("code-server", fingerprint([], version, process.version), codeServerEntry, () =>
    step(`install the browser workbench (code-server ${version})`, install),
  );
}
