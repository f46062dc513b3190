#!/usr/bin/env node
// npm run package: ziptie-PLATFORM-VERSION.vsix with this platform's bundles and engine.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { dist, root, target } from "./paths.mjs";
import { main, Problem, run, step } from "./processes.mjs";
import { setUp } from "./setup.mjs";
import { fingerprint, unlessDone } from "./stamps.mjs";

const limit = 60 * 1024 * 1024;

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
export const vsix = join(root, `ziptie-${target}-${version}.vsix`);

/** What the package is made of; any change to it makes a new one. */
function packageFingerprint() {
  const bundles = readdirSync(dist).filter((name) => /\.(js|node)$/.test(name));
  const sources = ["README.md", "CHANGELOG.md", "LICENSE", ".vscodeignore", "images", "l10n", "examples"];
  const manifests = readdirSync(root).filter((name) => /^package(\.nls.*)?\.json$/.test(name));
  return fingerprint([
    ...[...bundles, "engine", "webviews"].map((name) => join(dist, name)),
    ...[...sources, ...manifests, "extension/walkthrough", "extension/jinja"].map((name) => join(root, name)),
  ]);
}

/** Packages what has been built; nothing is done when nothing changed. */
export async function packageExtension() {
  await unlessDone("vsix", packageFingerprint(), vsix, () =>
    step(`package ${basename(vsix)}`, async () => {
      rmSync(vsix, { force: true });
      const vsce = join(root, "node_modules", "@vscode", "vsce", "vsce");
      if (!existsSync(vsce)) throw new Problem("@vscode/vsce is not installed; run npm run setup.");
      const date = await run("git", ["log", "-1", "--format=%ct"]).catch(() => "0");
      await run(
        process.execPath,
        [
          vsce,
          "package",
          "--target",
          target,
          "--no-dependencies",
          "--allow-missing-repository",
          "--out",
          vsix,
        ],
        // The same content makes the same file, whenever it is packaged.
        { env: { SOURCE_DATE_EPOCH: date.trim() } },
      );
    }),
  );
  const { size } = statSync(vsix);
  if (size > limit) {
    throw new Problem(`${basename(vsix)} is ${(size / 2 ** 20).toFixed(1)} MiB; the limit is 60 MiB.`);
  }
  return vsix;
}

/** Unpacks the packaged extension as VS Code installs it, and gives the folder of its package.json. */
export async function unpackExtension(directory) {
  await run("unzip", ["-q", "-o", vsix, "-d", directory]);
  return join(directory, "extension");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main(async () => {
    await setUp();
    const file = await packageExtension();
    process.stdout.write(`${file}  ${(statSync(file).size / 2 ** 20).toFixed(1)} MiB\n`);
  });
}
