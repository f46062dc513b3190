#!/usr/bin/env node
// Bundles everything that runs on Node or in a webview into dist/, then loads what was bundled.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { checkBundles } from "./check-bundles.mjs";
import { dist, root } from "./paths.mjs";
import { main, Problem } from "./processes.mjs";

/** Entry points on Node: name of the bundle in dist/, and its source. */
const nodeBundles = {
  extension: "extension/src/extension.ts",
  server: "language-server/src/server.ts",
  worker: "language-server/src/worker.ts",
};
/** The one that is started by its name. */
const program = { cli: "language-server/src/cli.ts" };

/** The file names of napi-rs: the native tokenizers of this platform. */
function tokenizersBinary() {
  const glibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  const platforms = {
    linux: `linux-${process.arch}-${glibc ? "gnu" : "musl"}`,
    darwin: `darwin-${process.arch}`,
    win32: `win32-${process.arch}-msvc`,
  };
  const name = `tokenizers.${platforms[process.platform]}.node`;
  const package_ = dirname(createRequire(import.meta.url).resolve("tokenizers/package.json"));
  const file = join(package_, name);
  if (!existsSync(file)) throw new Problem(`The tokenizers package has no ${name} for this platform.`);
  return { name, file };
}

/**
 * Replaces the tokenizers package, whose loader looks for the binaries of every platform, by this platform's binary beside the bundle.
 */
function nativeTokenizers(name) {
  return {
    name: "native-tokenizers",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^tokenizers$/ }, () => ({ path: "tokenizers", namespace: "native" }));
      onLoad({ filter: /.*/, namespace: "native" }, () => ({
        contents: `module.exports = require("./${name}");`,
        resolveDir: dist,
      }));
      onResolve({ filter: /\.node$/, namespace: "native" }, ({ path }) => ({ path, external: true }));
    },
  };
}

function requireEntries(entries) {
  const missing = Object.values(entries).filter((path) => !existsSync(join(root, path)));
  if (missing.length > 0) throw new Problem(`Entry points to bundle are missing:\n  ${missing.join("\n  ")}`);
}

/** Each folder of webviews/src with a main.ts is one panel. */
function panels() {
  const sources = join(root, "webviews", "src");
  if (!existsSync(sources)) throw new Problem("webviews/src is missing.");
  const names = readdirSync(sources, { withFileTypes: true })
    .filter((each) => each.isDirectory() && existsSync(join(sources, each.name, "main.ts")))
    .map((each) => each.name)
    .sort();
  if (names.length === 0) throw new Problem("webviews/src has no panel: a folder with a main.ts.");
  return Object.fromEntries(names.map((name) => [name, `webviews/src/${name}/main.ts`]));
}

await main(async () => {
  const panelBundles = panels();
  requireEntries({ ...nodeBundles, ...program });
  const tokenizers = tokenizersBinary();
  const shared = {
    absWorkingDir: root,
    bundle: true,
    logLevel: "warning",
    minify: true,
    keepNames: true,
    sourcemap: "linked",
    sourcesContent: false,
    legalComments: "none",
    metafile: true,
  };
  mkdirSync(dist, { recursive: true });
  for (const name of readdirSync(dist)) {
    if (/\.node$/.test(name) && name !== tokenizers.name) rmSync(join(dist, name));
  }
  copyFileSync(tokenizers.file, join(dist, tokenizers.name));

  const node = {
    ...shared,
    outdir: dist,
    platform: "node",
    target: "node20",
    format: "cjs",
    // ES modules first: the UMD builds of Microsoft's JSON packages hide their imports from the bundler.
    mainFields: ["module", "main"],
    external: ["vscode"],
    plugins: [nativeTokenizers(tokenizers.name)],
  };
  const results = await Promise.all([
    build({ ...node, entryPoints: nodeBundles }),
    build({ ...node, entryPoints: program, banner: { js: "#!/usr/bin/env node" } }),
    build({
      ...shared,
      entryPoints: panelBundles,
      outdir: join(dist, "webviews"),
      platform: "browser",
      target: "chrome128",
      format: "iife",
      loader: { ".ttf": "file", ".svg": "dataurl" },
    }),
  ]).catch(() => {
    throw new Problem("Bundling failed; esbuild has said why.");
  });
  chmodSync(join(dist, "cli.js"), 0o755);
  for (const { metafile } of results) {
    for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
      if (!path.endsWith(".map"))
        process.stdout.write(`${relative(root, join(root, path))}  ${(bytes / 1024).toFixed(0)} KiB\n`);
    }
  }
  await checkBundles();
});
