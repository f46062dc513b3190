#!/usr/bin/env node
// npm run package: ziptie-PLATFORM-VERSION.vsix with this platform's bundles and engine.
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { dist, root, target } from "./paths.mjs";
import { main, Problem, run, step } from "./processes.mjs";
import { setUp } from "./setup.mjs";
import { fingerprint, unlessDone } from "./stamps.mjs";

const staging = join(dist, "package");
const limit = 60 * 1024 * 1024;

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
export const vsix = join(root, `ziptie-${target}-${version}.vsix`);

/** Files and folders, relative to the root, that the package is made from; .vscodeignore says which files of them go in. */
function ingredients() {
  const named = (folder, pattern) => readdirSync(join(root, folder)).filter((name) => pattern.test(name));
  return [
    ...named("", /^package(\.nls.*)?\.json$/),
    ...["README.md", "CHANGELOG.md", "LICENSE", ".vscodeignore", "images", "l10n"],
    ...["docs/images", "docs/rules"],
    ...["extension/walkthrough", "extension/jinja", "examples/traditional-chinese"],
    ...named("dist", /\.(js|node)$/).map((name) => join("dist", name)),
    ...["dist/engine", "dist/webviews"],
  ];
}

/** vsce walks every file below where it runs before it asks .vscodeignore; beside the test tools in dist/ that takes minutes. */
function stage(paths) {
  rmSync(staging, { recursive: true, force: true });
  for (const path of paths) {
    const source = join(root, path);
    if (!existsSync(source)) throw new Problem(`${path} is missing and belongs in the package.`);
    cpSync(source, join(staging, path), { recursive: true, filter: (each) => !each.endsWith(`${sep}runs`) });
  }
}

/** Packages what has been built; nothing is done when nothing changed. */
export async function packageExtension() {
  const paths = ingredients();
  const wanted = fingerprint(paths.map((path) => join(root, path)));
  await unlessDone("vsix", wanted, vsix, () =>
    step(`package ${basename(vsix)}`, async () => {
      rmSync(vsix, { force: true });
      stage(paths);
      const vsce = join(root, "node_modules", "@vscode", "vsce", "vsce");
      if (!existsSync(vsce)) throw new Problem("@vscode/vsce is not installed; run npm run setup.");
      const date = await run("git", ["log", "-1", "--format=%ct"]).catch(() => "0");
      await run(
        process.execPath,
        [
          ...[vsce, "package", "--target", target, "--out", vsix, "--no-dependencies"],
          ...["--allow-missing-repository", "--no-rewrite-relative-links"],
        ],
        // The same content makes the same file, whenever it is packaged.
        { cwd: staging, env: { SOURCE_DATE_EPOCH: date.trim() } },
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
