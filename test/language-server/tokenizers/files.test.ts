/** What is read from a tokenizer's files, and what is said about files that cannot be used. */
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";
import { errorOf } from "./load-error";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ziptie-tokenizer-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const added = (id: number, content: string, special = true) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});

function tokenizerJson(changes: object = {}): object {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, "a", "b", "ab", "▁"];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [["a", "b"]],
    },
    ...changes,
  };
}

function write(name: string, content: string | object): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const ids = async (path: string, text: string) =>
  Array.from((await (await loadTokenizer(path)).encode(text, { addSpecialTokens: false })).ids);

describe("a tokenizer's files", () => {
  it("may be named by file or by directory", async () => {
    const file = write("tokenizer.json", tokenizerJson());
    expect(await ids(file, "ab</s>")).toEqual([261, 2]);
    expect(await ids(folder, "ab</s>")).toEqual([261, 2]);
  });

  it("are read again when they change, and only then", async () => {
    const file = write("tokenizer.json", tokenizerJson());
    const before = await loadTokenizer(file);
    expect(await loadTokenizer(folder)).toBe(before);
    write("tokenizer.json", tokenizerJson({ added_tokens: [added(2, "</s>"), added(263, "aab", false)] }));
    const later = statSync(file).mtimeMs / 1000 + 10;
    utimesSync(file, later, later);
    expect(await ids(file, "aab")).toEqual([263]);
  });

  it("say what kind each token is", async () => {
    const file = write(
      "tokenizer.json",
      tokenizerJson({ added_tokens: [added(1, "<s>"), added(263, "<x>", false)] }),
    );
    const tokenizer = await loadTokenizer(file);
    const encoded = await tokenizer.encode("<s>é<x>ab", { addSpecialTokens: false });
    expect(encoded.tokens()).toEqual(["<s>", "<0xC3>", "<0xA9>", "<x>", "ab"]);
    expect(Array.from(encoded.ids, (id) => tokenizer.kind(id))).toEqual([
      "special",
      "byte",
      "byte",
      "text",
      "text",
    ]);
    expect(Array.from(encoded.spans)).toEqual([0, 3, 3, 4, 3, 4, 4, 7, 7, 9]);
    expect(tokenizer.vocabSize).toBe(264);
  });

  it("say which part of a character a byte-level token holds", async () => {
    const vocab = { a: 0, Ã: 1, "©": 2, "Ã©": 3, "<|endoftext|>": 4 };
    const model = { type: "BPE", vocab, merges: [] };
    const pre_tokenizer = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
    const file = write(
      "tokenizer.json",
      tokenizerJson({ model, pre_tokenizer, normalizer: null, added_tokens: [added(4, "<|endoftext|>")] }),
    );
    const tokenizer = await loadTokenizer(file);
    expect([0, 1, 2, 3, 4].map((id) => tokenizer.kind(id))).toEqual([
      "text",
      "byte",
      "byte",
      "text",
      "special",
    ]);
    expect(tokenizer.special).toMatchObject({ bos: undefined, eos: { text: "<|endoftext|>", id: 4 } });
  });

  it("neither truncate nor pad, whatever they say", async () => {
    const truncation = { max_length: 1, stride: 0, strategy: "LongestFirst", direction: "Right" };
    const padding = {
      strategy: { Fixed: 9 },
      direction: "Right",
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: "<unk>",
    };
    expect(await ids(write("tokenizer.json", tokenizerJson({ truncation, padding })), "abab")).toEqual([
      261, 261,
    ]);
  });

  it("name special tokens in tokenizer_config.json, as text or object", async () => {
    write("tokenizer.json", tokenizerJson());
    write("tokenizer_config.json", {
      bos_token: null,
      eos_token: { content: "</s>", special: true },
      pad_token: "[PAD]",
    });
    expect((await loadTokenizer(folder)).special).toEqual({
      bos: undefined,
      eos: { text: "</s>", id: 2 },
      unk: undefined,
      pad: { text: "[PAD]", id: undefined },
    });
  });

  it("name special tokens by id in config.json, or by convention", async () => {
    write("tokenizer.json", tokenizerJson());
    expect((await loadTokenizer(folder)).special).toMatchObject({ bos: { id: 1 }, eos: { id: 2 } });
    write("config.json", { bos_token_id: 259, eos_token_id: [260, 2] });
    expect((await loadTokenizer(folder)).special).toMatchObject({ bos: { text: "a" }, eos: { text: "b" } });
  });

  it("may declare further tokens in tokenizer_config.json", async () => {
    write("tokenizer.json", tokenizerJson());
    const { id: _, ...token } = added(263, "<|im_end|>");
    write("tokenizer_config.json", { added_tokens_decoder: { 263: token } });
    expect(await ids(folder, "ab<|im_end|>")).toEqual([261, 263]);
    write("tokenizer_config.json", { added_tokens_decoder: { 300: token } });
    expect((await errorOf(folder)).message).toMatch(
      /declares the token `<\|im_end\|>` as 300, .* makes it 263/,
    );
  });

  it("carry chat templates as text, as a list, or in a file of their own", async () => {
    write("tokenizer.json", tokenizerJson());
    write("tokenizer_config.json", { chat_template: "one" });
    expect((await loadTokenizer(folder)).chatTemplate).toBe("one");
    const list = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    write("tokenizer_config.json", { chat_template: list });
    expect((await loadTokenizer(folder)).chatTemplates).toEqual([
      { name: "default", source: "plain" },
      { name: "tool_use", source: "tools" },
    ]);
    write("chat_template.jinja", "file");
    expect((await loadTokenizer(folder)).chatTemplate).toBe("file");
  });
});

describe("files that are no tokenizer", () => {
  it.each([
    ["nothing there", undefined, "missing", /There is no tokenizer at/],
    ["an empty file", "", "malformed", /is empty/],
    [
      "a file cut off",
      JSON.stringify(tokenizerJson()).slice(0, 500),
      "malformed",
      /is cut off at line 1, column 501/,
    ],
    ["a file that is not JSON", '{\n  "a": x\n}', "malformed", /is not JSON at line 2, column 8/],
    ["another JSON file", '{"vocab_size": 3}', "malformed", /has no `model`/],
    ["a list", "[]", "malformed", /a JSON object is expected/],
    ["an unknown version", tokenizerJson({ version: "9" }), "malformed", /version '9'/],
    ["an unknown model", tokenizerJson({ model: { type: "Nope" } }), "malformed", /is not a tokenizer/],
    [
      "added tokens without content",
      tokenizerJson({ added_tokens: [{ id: 3 }] }),
      "malformed",
      /entry 0 of `added_tokens`/,
    ],
  ])("%s", async (_, content, failure, message) => {
    const path = content === undefined ? join(folder, "absent.json") : write("some.json", content);
    const error = await errorOf(path);
    expect(error.failure).toBe(failure);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
  });

  it("a directory without one", async () => {
    expect((await errorOf(folder)).message).toMatch(
      /There is no tokenizer in .*: neither tokenizer\.json nor/,
    );
  });

  it("one that was broken loads once it is mended", async () => {
    const path = write("tokenizer.json", "{");
    await errorOf(path);
    write("tokenizer.json", tokenizerJson());
    expect(await ids(path, "ab")).toEqual([261]);
  });
});

describe("files that would abort the native library are refused before it sees them", () => {
  const template = (special_tokens: object) => ({
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens,
  });
  const bpe = (tokenizerJson() as { model: object }).model;
  const charsmap = (units: number[], replacements: string, declared = units.length * 4) => {
    const bytes = Buffer.alloc(4 + units.length * 4);
    bytes.writeUInt32LE(declared, 0);
    for (const [index, unit] of units.entries()) bytes.writeUInt32LE(unit >>> 0, 4 + index * 4);
    const precompiled_charsmap = Buffer.concat([bytes, Buffer.from(replacements)]).toString("base64");
    return { normalizer: { type: "Precompiled", precompiled_charsmap } };
  };
  const empty = new Array<number>(256).fill(0);

  it.each([
    [
      "an undefined token in the post-processor",
      { post_processor: template({}) },
      /`<s>` without defining it/,
    ],
    [
      "the same inside a sequence",
      { post_processor: { type: "Sequence", processors: [template({})] } },
      /without defining it/,
    ],
    [
      "a merge without its prefix",
      { model: { ...bpe, continuing_subword_prefix: "##" } },
      /merge 0 continues/,
    ],
    ["a character map cut off", charsmap(empty, "", 4096), /does not fit/],
    [
      "a character map that is not base64",
      { normalizer: { type: "Precompiled", precompiled_charsmap: "?" } },
      /base64/,
    ],
    [
      "a character map that leads outside itself",
      charsmap(empty.with(3, 0x7fffffff), ""),
      /outside its trie/,
    ],
    [
      "a character map without its replacement",
      charsmap(empty.with(3, 0x80000009), "ab"),
      /outside its repl/,
    ],
  ])("%s", async (_, changes, message) => {
    const error = await errorOf(write("tokenizer.json", tokenizerJson(changes)));
    expect(error.failure).toBe("malformed");
    expect(error.message).toMatch(message);
  });

  it("while a sound character map loads", async () => {
    expect(await ids(write("tokenizer.json", tokenizerJson(charsmap(empty, "a\0"))), "ab")).toEqual([261]);
  });
});
