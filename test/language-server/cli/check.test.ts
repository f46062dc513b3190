import { execFile, execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CheckDocument } from "../../../language-server/src/cli/check";
import { workspace } from "../server/session";

const root = join(import.meta.dirname, "../../..");
let program: string;

/** The program as it is bundled, but for the tokenizers, which are loaded from where they are installed. */
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "ziptie-cli-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  program = join(folder, "cli.js");
  await build({
    absWorkingDir: root,
    entryPoints: ["language-server/src/cli.ts"],
    outfile: program,
    bundle: true,
    platform: "node",
    target: "node20",
    mainFields: ["module", "main"],
    external: ["tokenizers"],
    logLevel: "error",
  });
  const { version } = createRequire(import.meta.url)(join(root, "package.json"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "ziptie", version }));
}, 60_000);
afterAll(() => rmSync(join(program, ".."), { recursive: true, force: true }));

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

function ziptie(folder: string, ...parameters: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...parameters], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

async function checkJson(folder: string, ...paths: string[]): Promise<CheckDocument & { status: number }> {
  const { status, stdout, stderr } = await ziptie(folder, "check", ...paths, "--format", "json");
  expect(stderr).toBe("");
  return { status, ...(JSON.parse(stdout) as CheckDocument) };
}

const good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n';
const bad = good.replace('"user"', '"usr"');
const config =
  "stage: sft\nmodel_name_or_path: base\nchat_template_path: bailong\ndataset: data/train.jsonl\nlearning_rte: 1\n";
const project = {
  "base/config.json": "{}",
  "base/tokenizer.json": "{}",
  "a.ziptie.yaml": config,
  "data/train.jsonl": good + bad + good,
  "data/chat.jinja": "{% for m in messages %}",
};

describe("ziptie check --format json", () => {
  test("prints one document: positions from 0, files as they were named, rows counted", async () => {
    const folder = workspace(project);
    const { status, diagnostics, files, rows } = await checkJson(
      folder,
      "a.ziptie.yaml",
      "./data/train.jsonl",
    );
    expect({ status, files, rows }).toEqual({ status: 1, files: 2, rows: 3 });
    expect(diagnostics).toEqual([
      {
        file: "a.ziptie.yaml",
        range: { start: { line: 4, character: 0 }, end: { line: 4, character: 12 } },
        severity: "error",
        rule: "unknown-key",
        message: "Ziptie has no key `learning_rte`. Did you mean `learning_rate`?",
        fixes: 2,
      },
      {
        file: "./data/train.jsonl",
        range: { start: { line: 1, character: 24 }, end: { line: 1, character: 27 } },
        severity: "error",
        rule: "unknown-role",
        message: expect.stringContaining("usr"),
        fixes: 1,
      },
    ]);
  });

  test("walks folders: configs, what they name, and what looks like ours", async () => {
    const folder = workspace({
      ...project,
      "rows.json": '[{"text": "a"}]',
      "tsconfig.json": "{}",
      "notes.yaml": "a: [",
      "node_modules/x/y.jsonl": "{",
      ".git/z.jsonl": "{",
      "runs/a-1/run.json": "{}",
      "runs/a-1/config.ziptie.yaml": "sede: 1",
      "runs/a-1/events.jsonl": "{",
    });
    const { files, diagnostics } = await checkJson(folder, ".");
    expect(files).toBe(4);
    expect([...new Set(diagnostics.map(({ file }) => file))].sort()).toEqual([
      "a.ziptie.yaml",
      "data/chat.jinja",
      "data/train.jsonl",
    ]);
  });

  test("checks what a config of the folder names outside of it, and each file once", async () => {
    const folder = workspace({
      ...project,
      "sub/b.ziptie.yaml": config.replaceAll("base", "../base").replace("data/", "../data/"),
    });
    const { files } = await checkJson(folder, "sub", "data/train.jsonl", "sub/b.ziptie.yaml");
    expect(files).toBe(2);
  });

  test("checks with a config the files that it names, under the names the person gave them", async () => {
    const folder = workspace(project);
    const alone = await checkJson(folder, "a.ziptie.yaml");
    expect(alone).toMatchObject({ files: 2, rows: 3 });
    const both = await checkJson(folder, "a.ziptie.yaml", "./data/train.jsonl");
    expect(both).toMatchObject({ files: 2, rows: 3 });
    expect(both.diagnostics.map(({ file }) => file)).toContain("./data/train.jsonl");
  });

  test("says once that a dataset is UTF-16", async () => {
    const folder = workspace({ "rows.jsonl": Buffer.from(`\ufeff${good}`, "utf16le") });
    const { status, diagnostics } = await checkJson(folder, "rows.jsonl");
    expect(status).toBe(1);
    expect(diagnostics).toMatchObject([
      { rule: "invalid-utf8", message: expect.stringContaining("UTF-16 (little endian)") },
    ]);
  });

  test("a warning alone is no failure", async () => {
    const folder = workspace({ "rows.jsonl": '{"text": "a"}\n\n{"text": "b"}\n' });
    const { status, diagnostics } = await checkJson(folder, "rows.jsonl");
    expect(status).toBe(0);
    expect(diagnostics).toMatchObject([{ rule: "blank-line", severity: "warning" }]);
  });

  test("a config's rules hold for the files that it names", async () => {
    const folder = workspace({
      ...project,
      "a.ziptie.yaml": `${config}rules: { unknown-role: off, unknown-key: hint }\n`,
    });
    const { status, diagnostics } = await checkJson(folder, "a.ziptie.yaml", "data/train.jsonl");
    expect(status).toBe(0);
    expect(diagnostics).toMatchObject([{ rule: "unknown-key", severity: "hint" }]);
  });

  test("gives every finding of a file, however many there are", async () => {
    const folder = workspace({ "rows.jsonl": bad.repeat(500) });
    expect((await checkJson(folder, "rows.jsonl")).diagnostics).toHaveLength(500);
  });

  test("points at bytes that are not UTF-8", async () => {
    const latin1 = Buffer.concat([
      Buffer.from('{"text": "中"}\n{"text": "中 caf'),
      Buffer.from([0xe9]),
      Buffer.from(' "}\n'),
    ]);
    const folder = workspace({ "rows.jsonl": latin1 });
    const { diagnostics } = await checkJson(folder, "rows.jsonl");
    const start = { line: 1, character: 15 };
    expect(diagnostics).toMatchObject([
      {
        rule: "invalid-utf8",
        range: { start, end: { line: 1, character: 16 } },
        message: expect.stringContaining("The byte e9 is not UTF-8"),
      },
    ]);
  });
});

test("text counts from 1 and ends with a summary", async () => {
  const folder = workspace(project);
  const { status, stdout } = await ziptie(folder, "check", ".");
  expect(status).toBe(1);
  const lines = stdout.trimEnd().split("\n");
  expect(lines[0]).toBe(
    "a.ziptie.yaml:5:1 error unknown-key Ziptie has no key `learning_rte`. Did you mean `learning_rate`?",
  );
  expect(lines.at(-1)).toBe("3 errors in 3 files, 3 rows");
});

describe("wrong usage ends with 2, says why on stderr and prints nothing", () => {
  test.each([
    ["a path that is not there", ["check", "nope.jsonl"], "nope.jsonl is not there"],
    ["no path", ["check"], "missing required argument"],
    ["an unknown format", ["check", ".", "--format", "xml"], "Allowed choices are text, json"],
    ["a file that is nothing of ours", ["check", "notes.txt"], "nothing that is checked"],
    ["a folder without anything to check", ["check", "empty"], "nothing to check"],
    ["an unknown command", ["chek"], "unknown command"],
  ])("%s", async (_, parameters, message) => {
    const folder = workspace({ "notes.txt": "", "empty/notes.txt": "" });
    const { status, stdout, stderr } = await ziptie(folder, ...parameters);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be read (root may read all)", async () => {
    const folder = workspace({ "rows.jsonl": good });
    chmodSync(join(folder, "rows.jsonl"), 0);
    expect(await ziptie(folder, "check", "rows.jsonl")).toMatchObject({ status: 2 });
  });
});

test.skipIf(process.platform === "win32")("a pipe is refused, not waited for", async () => {
  const folder = workspace({});
  execFileSync("mkfifo", [join(folder, "rows.jsonl")]);
  const { status, stderr } = await ziptie(folder, "check", "rows.jsonl");
  expect(status).toBe(2);
  expect(stderr).toContain("rows.jsonl is neither a file nor a folder");
});

test("a link that leads nowhere does not stand in the way of the folder's files", async () => {
  const folder = workspace({ "rows.jsonl": good });
  symlinkSync("nowhere", join(folder, "notes"));
  expect(await checkJson(folder, ".")).toMatchObject({ status: 0, files: 1 });
  symlinkSync("nowhere", join(folder, "more.jsonl"));
  expect(await ziptie(folder, "check", ".")).toMatchObject({
    status: 2,
    stderr: "ziptie: more.jsonl is not there.\n",
  });
});

test("--version is the package's", async () => {
  const { version } = createRequire(import.meta.url)(join(root, "package.json"));
  expect(await ziptie(root, "--version")).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
});

test("a folder with a file's name is walked, not read", async () => {
  const folder = workspace({ "a/x.jsonl": good });
  mkdirSync(join(folder, "rows.jsonl"));
  writeFileSync(join(folder, "rows.jsonl/y.jsonl"), good);
  expect(await checkJson(folder, "rows.jsonl")).toMatchObject({ status: 0, files: 1, rows: 1 });
});
