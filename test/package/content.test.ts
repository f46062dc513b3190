import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unpackExtension, vsix } from "../../scripts/package.mjs";

/** Everything the package may hold. What no line here names does not belong in it. */
const allowed = [
  /^\[Content_Types\]\.xml$/,
  /^extension\.vsixmanifest$/,
  /^extension\/(package\.json|package\.nls(\.zh-tw)?\.json|readme\.md|changelog\.md|LICENSE\.txt)$/,
  /^extension\/images\/[\w-]+\.(png|svg)$/,
  /^extension\/l10n\/bundle\.l10n(\.[\w-]+)?\.json$/,
  /^extension\/docs\/(images\/[\w-]+\.png|rules\/[\w-]+\.md)$/,
  /^extension\/extension\/walkthrough\/[\w.-]+\.(md|png|svg)$/,
  /^extension\/extension\/jinja\/[\w.-]+\.json$/,
  /^extension\/examples\/traditional-chinese\/(README\.md|(base|sft|qlora|vocabulary)\.ziptie\.yaml|train_tokenizer\.py)$/,
  /^extension\/examples\/traditional-chinese\/(data\/[\w-]+\.jsonl|tokenizer\/[\w.-]+\.json)$/,
  /^extension\/dist\/(extension|server|worker|cli)\.js$/,
  /^extension\/dist\/tokenizers\.linux-x64-gnu\.node$/,
  /^extension\/dist\/engine\/(ziptie-engine|libfmt\.so\.\d+)$/,
  /^extension\/dist\/webviews\/[\w-]+\.(js|css|ttf)$/,
];

/** What Ziptie cannot run without. */
const required = [
  "extension/package.json",
  "extension/readme.md",
  "extension/changelog.md",
  "extension/LICENSE.txt",
  "extension/dist/extension.js",
  "extension/dist/server.js",
  "extension/dist/worker.js",
  "extension/dist/cli.js",
  "extension/dist/tokenizers.linux-x64-gnu.node",
  "extension/dist/engine/ziptie-engine",
  "extension/dist/webviews/training.js",
  "extension/dist/webviews/training.css",
  "extension/dist/webviews/comparison.js",
  "extension/dist/webviews/comparison.css",
  "extension/examples/traditional-chinese/base.ziptie.yaml",
  "extension/examples/traditional-chinese/sft.ziptie.yaml",
  "extension/examples/traditional-chinese/qlora.ziptie.yaml",
  "extension/examples/traditional-chinese/vocabulary.ziptie.yaml",
];

describe("the packaged extension", () => {
  let outside: string;
  let extension: string;
  let files: string[];

  beforeAll(async () => {
    // Outside the repository, so that nothing can be found in its node_modules.
    outside = mkdtempSync(join(tmpdir(), "ziptie-package-"));
    extension = await unpackExtension(outside);
    files = execFileSync("unzip", ["-Z1", vsix], { encoding: "utf8" }).trim().split("\n");
  });
  afterAll(() => rmSync(outside, { recursive: true, force: true }));

  const execute = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: outside, encoding: "utf8", env: { PATH: process.env.PATH } });

  it("is named after the platform and the version", () => {
    expect(vsix).toMatch(/\/ziptie-linux-x64-\d+\.\d+\.\d+\.vsix$/);
  });

  it("holds nothing that is not on the list", () => {
    expect(files.filter((file) => !allowed.some((pattern) => pattern.test(file)))).toEqual([]);
  });

  it("holds all that Ziptie needs", () => {
    expect(required.filter((file) => !files.includes(file))).toEqual([]);
  });

  it("holds every file that its manifest points to", () => {
    const manifest = JSON.parse(readFileSync(join(extension, "package.json"), "utf8"));
    const paths = [
      ...JSON.stringify(manifest).matchAll(/"(\.?\/?[\w-]+\/[\w./-]+\.(?:js|json|png|svg|md))"/g),
    ]
      .map(([, path]) => join("extension", path ?? ""))
      .filter((path) => !path.startsWith("extension/scripts/"));
    expect(paths.length).toBeGreaterThan(0);
    expect(paths.filter((path) => !files.includes(path))).toEqual([]);
  });

  it("is under 60 MB", () => {
    expect(statSync(vsix).size).toBeLessThan(60_000_000);
  });

  it("has a command line that runs without node_modules", () => {
    const { version } = JSON.parse(readFileSync(join(extension, "package.json"), "utf8"));
    expect(execute("node", join(extension, "dist", "cli.js"), "--version").trim()).toBe(version);
  });

  it("has tokenizers that load", () => {
    const binary = join(extension, "dist", "tokenizers.linux-x64-gnu.node");
    const program = `console.log(typeof require(${JSON.stringify(binary)}).Tokenizer.fromFile)`;
    expect(execute("node", "-e", program).trim()).toBe("function");
  });

  it("has an engine that runs", () => {
    const described = execute(
      join(extension, "dist", "engine", "ziptie-engine"),
      "describe",
      "--format",
      "json",
    );
    expect(JSON.parse(described)).toBeTypeOf("object");
  });
});
