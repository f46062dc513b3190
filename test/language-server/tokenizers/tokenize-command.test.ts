import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { registerTokenize } from "../../../language-server/src/cli/tokenize";

const tokenizer = join(import.meta.dirname, "../../../examples/traditional-chinese/tokenizer");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ziptie-tokenize-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
  process.exitCode = undefined;
});

async function tokenize(...args: string[]) {
  let stdout = "";
  let stderr = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += text;
    return true;
  });
  const program = new Command("ziptie");
  registerTokenize(program);
  for (const command of [program, ...program.commands]) command.exitOverride();
  let usage: CommanderError | undefined;
  try {
    await program.parseAsync(["tokenize", ...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    usage = error;
  }
  vi.restoreAllMocks();
  return { stdout, stderr, status: process.exitCode ?? 0, usage };
}

function write(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("ziptie tokenize", () => {
  it("prints a text's tokens as one JSON document, for every tokenizer", async () => {
    const { stdout } = await tokenize(
      "--tokenizer",
      tokenizer,
      tokenizer,
      "--text",
      "你😀",
      "--format",
      "json",
    );
    const { results, text } = JSON.parse(stdout);
    expect(text).toBeUndefined();
    expect(results).toHaveLength(2);
    const [{ count, tokens, supervised, ...rest }] = results;
    expect(rest).toEqual({ tokenizer });
    expect(supervised).toBeUndefined();
    expect(count).toBe(tokens.length);
    expect(tokens[0]).toEqual({ id: expect.any(Number), text: "你", start: 0, end: 1 });
    for (const token of tokens.slice(1)) expect([token.start, token.end]).toEqual([1, 3]);
  });

  it("renders a dataset's row, and says which tokens carry loss", async () => {
    const rows = [
      { messages: [{ role: "user", content: "你好" }] },
      {
        messages: [
          { role: "user", content: "你好" },
          { role: "assistant", content: "再見" },
        ],
      },
    ];
    const file = write("rows.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
    const { stdout } = await tokenize(
      ...[
        "--tokenizer",
        tokenizer,
        "--file",
        file,
        "--row",
        "1",
        "--template",
        "bailong",
        "--format",
        "json",
      ],
    );
    const { text, results } = JSON.parse(stdout);
    expect(text).toBe("<s> 你好 </s> 再見 </s>");
    const trained = results[0].tokens.filter((token: { loss: boolean }) => token.loss);
    expect(results[0].supervised).toBe(trained.length);
    expect(text.slice(trained[0].start, trained.at(-1).end)).toBe(" 再見 </s>");
  });

  it("takes a plain text as one user turn", async () => {
    const template = write("t.jinja", "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
    const { stdout } = await tokenize(
      ...["--tokenizer", tokenizer, "--text", "你好", "--template", template, "--format", "json"],
    );
    expect(JSON.parse(stdout)).toMatchObject({ text: "<user>你好", results: [{ supervised: 0 }] });
  });

  it("prints aligned columns with visible whitespace for people", async () => {
    const { stdout } = await tokenize("--tokenizer", tokenizer, "--text", "你 好\n");
    const [title, heading, first, second] = stdout.split("\n");
    expect(title).toBe(`${tokenizer}: 4 tokens`);
    expect(heading).toMatch(/id +start +end +token +characters/);
    expect(first).toMatch(/^0 +\d+ +0 +1 +你 +你$/);
    expect(second).toContain("·");
    expect(stdout).toContain("⏎");
  });

  it.each([
    [
      "a tokenizer that is not there",
      ["--tokenizer", "/absent", "--text", "x"],
      /There is no tokenizer at \/absent/,
      2,
    ],
    [
      "a file that is not there",
      ["--tokenizer", tokenizer, "--file", "/absent"],
      /^\/absent is not there\./,
      2,
    ],
    [
      "a folder for a file",
      ["--tokenizer", tokenizer, "--file", tokenizer],
      /is a folder; a file is needed/,
      2,
    ],
    [
      "a template that is not there",
      ["--tokenizer", tokenizer, "--text", "x", "--template", "bialong"],
      /There is no template bialong: neither a file nor one of bailong, /,
      2,
    ],
    [
      "a tokenizer without template",
      ["--tokenizer", tokenizer, "--text", "x", "--template", "tokenizer"],
      /carries no chat template/,
      1,
    ],
  ])("answers %s in words and prints nothing on stdout", async (_, args, message, expected) => {
    const { stdout, stderr, status } = await tokenize(...args, "--format", "json");
    expect(stdout).toBe("");
    expect(stderr).toMatch(message);
    expect(status).toBe(expected);
  });

  it("refuses a file that is not UTF-8 instead of showing the tokens of U+FFFD", async () => {
    const file = write("latin1.txt", "");
    writeFileSync(file, Buffer.from("caf\u00e9 noir", "latin1"));
    const { stdout, stderr, status } = await tokenize("--tokenizer", tokenizer, "--file", file);
    expect([stdout, status]).toEqual(["", 1]);
    expect(stderr).toMatch(/latin1\.txt:1:4: The byte e9 is not UTF-8/);
  });

  it("says where a template or a row is wrong", async () => {
    const template = write("t.jinja", "\n  {% if x %}");
    const broken = await tokenize("--tokenizer", tokenizer, "--text", "x", "--template", template);
    expect(broken.stderr).toBe(
      `${template}:2:3: \`if\` is never closed: \`{% endif %}\` is missing. [template-syntax]\n`,
    );
    const file = write("rows.jsonl", '{"messages":[{"role":"pirate","content":"x"}]}');
    const row = await tokenize("--tokenizer", tokenizer, "--file", file, "--template", "bailong");
    expect(row.stderr).toMatch(/rows\.jsonl:1:23: row 0 cannot be rendered\. .*pirate/);
    const none = await tokenize(
      "--tokenizer",
      tokenizer,
      "--file",
      file,
      "--template",
      "bailong",
      "--row",
      "7",
    );
    expect(none.stderr).toMatch(/has 1 row, counted from 0; there is no row 7/);
  });

  it("says what the template refuses", async () => {
    const turns = ["system", "user"].map((role) => ({ role, content: "x" }));
    const file = write("rows.jsonl", JSON.stringify({ messages: turns }));
    const { stderr, status } = await tokenize(
      "--tokenizer",
      tokenizer,
      "--file",
      file,
      "--template",
      "bailong",
    );
    expect(stderr).toMatch(/The template bailong does not render this conversation: .* no system turn/);
    expect(status).toBe(1);
  });

  it("prints ids and spans of every text of a batch, a line each", async () => {
    const batch = write("batch.jsonl", '"你😀"\n""\n"\\ud83d"\n');
    const { stdout } = await tokenize("--tokenizer", tokenizer, "--batch", batch);
    const results = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).results[0]);
    expect(results.map((result) => result.tokenizer)).toEqual([tokenizer, tokenizer, tokenizer]);
    expect(results[0].spans.slice(0, 4)).toEqual([0, 1, 1, 3]);
    expect(results[0].ids).toHaveLength(results[0].spans.length / 2);
    expect(results[1].ids).toEqual([]);
    expect(new Set(results[2].spans)).toEqual(new Set([0, 1]));
  });

  it("says which line of a batch is no text, and which batch is not there", async () => {
    const broken = await tokenize("--tokenizer", tokenizer, "--batch", write("b.jsonl", '"a"\n{}\n'));
    expect(broken.stderr).toMatch(/b\.jsonl: line 2 is not a JSON string/);
    expect(broken.status).toBe(1);
    const absent = await tokenize("--tokenizer", tokenizer, "--batch", join(folder, "absent"));
    expect(absent.stderr).toMatch(/absent is not there/);
    expect(absent.status).toBe(2);
  });

  it("refuses to be used without a text, or with two", async () => {
    expect((await tokenize("--tokenizer", tokenizer)).usage?.message).toMatch(/--text, --file and --batch/);
    expect((await tokenize("--tokenizer", tokenizer, "--text", "x", "--file", "y")).usage).toBeDefined();
    expect((await tokenize("--text", "x")).usage).toBeDefined();
    expect((await tokenize("--tokenizer", tokenizer, "--text", "x", "--row", "a")).usage).toBeDefined();
  });
});
