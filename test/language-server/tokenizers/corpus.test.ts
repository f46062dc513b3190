/** What is read of a corpus, and what is counted in it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { comparisonCsv, coverageCsv } from "../../../language-server/src/tokenizers/comparison-csv";
import { CorpusError, readCorpus } from "../../../language-server/src/tokenizers/corpus";
import { compareCorpus } from "../../../language-server/src/tokenizers/corpus-comparison";
import { loadNamed } from "../../../language-server/src/tokenizers/named-tokenizers";

const example = join(import.meta.dirname, "../../../examples/traditional-chinese/tokenizer");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ziptie-corpus-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}

async function texts(...paths: string[]) {
  const read: { text: string; words: number | undefined }[] = [];
  for await (const text of readCorpus(paths)) read.push(text);
  return read;
}

async function errorOf(...paths: string[]): Promise<CorpusError> {
  try {
    await texts(...paths);
  } catch (error) {
    if (error instanceof CorpusError) return error;
    throw error;
  }
  throw new Error("it was read");
}

const word = (id: string, form: string, misc = "_") => [id, form, ...Array(7).fill("_"), misc].join("\t");

describe("a corpus", () => {
  it("is a treebank, with its words", async () => {
    const path = write(
      "a.conllu",
      [
        "# text = Vámonos al mar.",
        word("1-2", "Vámonos"),
        ...[word("1", "Vamos"), word("2", "nos"), word("3-4", "al"), word("3", "a"), word("4", "el")],
        ...[word("5", "mar", "SpaceAfter=No"), word("5.1", "_"), word("6", ".")],
        "",
        // Without its text, which its words spell.
        ...[word("1-2", "Vámonos"), word("1", "Vamos"), word("2", "nos"), word("3", "ya", "SpaceAfter=No")],
        word("4", "."),
      ].join("\n"),
    );
    expect(await texts(path)).toEqual([
      { text: "Vámonos al mar.", words: 6 },
      { text: "Vámonos ya.", words: 4 },
    ]);
  });

  it("is gold word counts and texts", async () => {
    const path = write("a.tsv", "gold_words\ttext\r\n3\ta b\tc\r\n\r\n0\t\r\n");
    expect(await texts(path)).toEqual([
      { text: "a b\tc", words: 3 },
      { text: "", words: 0 },
    ]);
  });

  it("is a dataset, of which every content counts", async () => {
    const rows = [
      {
        messages: [
          { role: "user", content: "hi" },
          { role: "assistant", content: "yo" },
        ],
      },
      {
        messages: [
          { role: "user", content: "你" },
          { role: "assistant", content: "好" },
        ],
      },
    ];
    const path = write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
    expect((await texts(path)).map(({ text }) => text)).toEqual(["hi", "yo", "你", "好"]);
  });

  it("is plain text by the line, whatever the chunks it is read in", async () => {
    const lines = Array.from({ length: 40_000 }, (_, index) => `${index} 漢字😀é`);
    const path = write("a.txt", `\ufeff${lines.join("\n")}\r\n\nend`);
    expect((await texts(path)).map(({ text }) => text)).toEqual([...lines, "end"]);
  });

  it("is a folder with all that is in it", async () => {
    write("b/two.txt", "2");
    write("a.md", "1");
    write("c.bin", "no");
    write(".hidden.txt", "no");
    write("node_modules/x.txt", "no");
    write("package.json", "{}");
    expect((await texts(folder)).map(({ text }) => text)).toEqual(["1", "2"]);
  });

  it("tells how far it is read", async () => {
    const seen: number[][] = [];
    const paths = [write("a.txt", "123"), write("b.txt", "4567")];
    for await (const _ of readCorpus(paths, { onProgress: (...progress) => seen.push(progress) }));
    expect(seen.at(-1)).toEqual([7, 7]);
    expect(seen).toContainEqual([3, 7]);
  });

  it.each([
    ["is not there", () => join(folder, "absent.txt"), /absent.txt is not there/, true],
    ["is not UTF-8", () => write("a.txt", Uint8Array.of(97, 10, 0xff, 97)), /not UTF-8/, false],
    [
      "is cut off in a character",
      () => write("a.txt", Uint8Array.of(97, 0xe4)),
      /ends within a character/,
      false,
    ],
    ["lacks a count", () => write("a.tsv", "x\ty\n1\ta\nno count"), /a\.tsv:3: the number of gold/, false],
    [
      "lacks columns",
      () => write("a.conllu", "# text = a\n1\ta\n"),
      /a\.conllu:2: .*10 columns.* not 2/,
      false,
    ],
    ["has no id", () => write("a.conllu", `${word("x", "a")}\n`), /a\.conllu:1: `x` is no id/, false],
    ["holds nothing", () => folder, /nothing to read/, true],
  ])("that %s is an error that says so", async (_, path, message, isMissing) => {
    const error = await errorOf(path());
    expect(error.message).toMatch(message);
    expect(error.isMissing).toBe(isMissing);
  });
});

describe("a corpus under several tokenizers", () => {
  const corpus = [
    { text: "你好，我們😀😀", words: 4 },
    { text: "ab", words: 1 },
    { text: "好", words: 1 },
  ];

  it("has the totals of its texts", async () => {
    const progress: number[] = [];
    const { texts: count, results } = await compareCorpus(corpus, await loadNamed(["characters", example]), {
      onProgress: (texts) => progress.push(texts),
    });
    expect(count).toBe(3);
    expect(progress).toEqual([3]);
    expect(results[0]).toEqual({
      tokenizer: "characters",
      worstCharacters: [],
      figures: {
        ...{ characters: 10, bytes: 3 * 6 + 8 + 2, words: 6, tokens: 10 },
        ...{ byteTokens: 0, unknownTokens: 0, specialTokens: 0 },
      },
    });
    expect(results[1]?.figures).toMatchObject({ characters: 10, words: 6, byteTokens: 8 });
  });

  it("tells which characters are covered worst", async () => {
    const { results } = await compareCorpus(corpus, await loadNamed([example]), { worstCharacters: 2 });
    expect(results[0]?.worstCharacters[0]).toEqual({
      ...{ character: "😀", count: 2, tokensPerCharacter: 4, unknown: 0 },
    });
    expect(results[0]?.worstCharacters).toHaveLength(2);
    const lines = coverageCsv(results).split("\r\n");
    expect(lines[0]).toBe("tokenizer,character,code_point,count,tokens_per_character,unknown");
    expect(lines[1]).toBe(`${example},😀,U+1F600,2,4,0`);
  });

  it("becomes a table, with names that hold commas and quotes", async () => {
    const { results } = await compareCorpus(corpus.slice(2), await loadNamed(["characters"]));
    expect(comparisonCsv(results.map((result) => ({ ...result, tokenizer: 'a,"b"' })))).toBe(
      "tokenizer,words,characters,bytes,tokens,efficiency,characters_per_token,bytes_per_token,byte_fallback_rate,unk_rate\r\n" +
        '"a,""b""",1,1,3,1,1,1,3,0,0\r\n',
    );
  });

  it("can be given up between two stretches", async () => {
    const abort = new AbortController();
    const onProgress = () => abort.abort(new Error("enough"));
    const long = { text: "字".repeat(1 << 18), words: undefined };
    const counted = compareCorpus([long, long], await loadNamed(["characters"]), {
      ...{ signal: abort.signal, onProgress },
    });
    await expect(counted).rejects.toThrow("enough");
  });
});
