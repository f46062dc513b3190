/** SentencePiece models and tiktoken's ranks: what is read of them, what is refused. Their ids are checked in `test/oracle`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compose } from "../../../language-server/src/tokenizers/tiktoken/composed-form";
import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";
import type { TokenizerError } from "../../../language-server/src/tokenizers/tokenizer-error";
import { errorOf } from "./load-error";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ziptie-tokenizer-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}

async function encode(path: string, text: string, options: object = {}) {
  const tokenizer = await loadTokenizer(path);
  const encoded = await tokenizer.encode(text, { addSpecialTokens: false, ...options });
  return { tokens: encoded.tokens(), spans: Array.from(encoded.spans) };
}

const [normal, unknown, control, userDefined, byte] = [1, 2, 3, 4, 6];
type Pieces = [piece: string, score: number, type: number | undefined][];
const basic: Pieces = [
  ["<unk>", 0, unknown],
  ["<s>", 0, control],
  ["</s>", 0, control],
  ["▁a", -1, normal],
  ["▁", -2, normal],
  ["a", -3, normal],
  ["b", -4, normal],
];
const bytes: Pieces = Array.from({ length: 256 }, (_, value) => [
  `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
  0,
  byte,
]);

/** @param trainer varints of `TrainerSpec` by field number: 3 is the kind, 35 the byte fallback */
function model(
  pieces: Pieces,
  trainer: Record<number, number> = { 3: 2 },
  charsmap?: Uint8Array,
): Uint8Array {
  const writer = new BinaryWriter();
  for (const [piece, score, type] of pieces) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(piece).tag(2, WireType.Bit32).float(score);
    writer.tag(3, WireType.Varint).int32(type ?? 0);
    writer.join();
  }
  writer.tag(2, WireType.LengthDelimited).fork();
  for (const [field, value] of Object.entries(trainer))
    writer.tag(Number(field), WireType.Varint).int32(value);
  writer.join().tag(3, WireType.LengthDelimited).fork();
  if (charsmap) writer.tag(2, WireType.LengthDelimited).bytes(charsmap);
  return writer.join().finish();
}

describe("a SentencePiece model", () => {
  it("is read from a file and from a directory, with its special tokens", async () => {
    const file = write("tokenizer.model", model(basic));
    for (const path of [file, folder]) {
      expect(await encode(path, "ab<s>  a", { addSpecialTokens: true })).toEqual({
        tokens: ["<s>", "▁a", "b", "<s>", "▁a"],
        spans: [0, 0, 0, 1, 1, 2, 2, 5, 7, 8],
      });
      const { special, vocabSize, unknownId } = await loadTokenizer(path);
      expect(special).toMatchObject({
        bos: { text: "<s>", id: 1 },
        eos: { id: 2 },
        unk: { id: 0 },
        pad: undefined,
      });
      expect({ vocabSize, unknownId }).toEqual({ vocabSize: 7, unknownId: 0 });
    }
  });

  it("is configured by what stands beside it", async () => {
    write("tokenizer.model", model(basic));
    const added = { content: "<x>", special: true };
    const config = {
      add_bos_token: false,
      add_eos_token: true,
      legacy: false,
      added_tokens_decoder: { 7: added },
    };
    write("tokenizer_config.json", JSON.stringify(config));
    const { tokens } = await encode(folder, "a<x>a", { addSpecialTokens: true });
    expect(tokens).toEqual(["▁a", "<x>", "a", "</s>"]);
  });

  it("takes special tokens for ordinary text when that is asked for", async () => {
    const { tokens } = await encode(write("m.model", model(basic)), "<s>", { ordinary: true });
    expect(tokens).toEqual(["▁", "<unk>"]);
  });

  it("writes unknown characters as bytes, all with the character's span", async () => {
    const file = write("m.model", model([...basic, ...bytes], { 3: 1, 35: 1 }));
    expect(await encode(file, "a😀")).toEqual({
      tokens: ["▁a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"],
      spans: [0, 1, 1, 3, 1, 3, 1, 3, 1, 3],
    });
    expect((await loadTokenizer(file)).kind(7 + 0xf0)).toBe("byte");
  });

  it("keeps user-defined symbols whole", async () => {
    const file = write("m.model", model([...basic, ["ab", 0, userDefined]]));
    expect((await encode(file, "aab")).tokens).toEqual(["▁a", "ab"]);
  });

  it("takes a long text of one character in reasonable time", async () => {
    const file = write("m.model", model([...basic, ["aa", -0.5, normal], ["aaaa", -0.25, normal]]));
    const { tokens } = await encode(file, "a".repeat(200_001));
    expect(tokens).toHaveLength(50_002);
  });

  it.each([
    ["an empty file", "", /is empty/, "malformed"],
    ["text", "hello, this is no model", /cut off or another kind of file/, "malformed"],
    [
      "a file cut off between two pieces",
      model(basic).subarray(0, 60),
      /no `trainer_spec`.* cut off/,
      "malformed",
    ],
    ["a file cut off", model(basic).subarray(0, 70), /cut off or another kind of file/, "malformed"],
    ["one without pieces", model([]), /has no unknown piece/, "malformed"],
    ["two unknown pieces", model([...basic, ["?", 0, unknown]]), /two unknown pieces, 0 and 7/, "malformed"],
    ["a piece twice", model([...basic, ["a", 0, normal]]), /piece 7, `a`, stands there twice/, "malformed"],
    ["an empty piece", model([...basic, ["", 0, normal]]), /piece 7 is empty/, "malformed"],
    ["a piece of no type", model([...basic, ["x", 0, 9]]), /a piece of type 9/, "malformed"],
    [
      "bytes that are missing",
      model([...basic, ...bytes.slice(1)], { 3: 2, 35: 1 }),
      /255 of 256/,
      "malformed",
    ],
    ["a model of words", model(basic, { 3: 3 }), /of words\. Models of BPE and unigram/, "unsupported"],
    [
      "a character map that leads outside itself",
      model(basic, { 3: 2 }, Uint8Array.of(4, 0, 0, 0, 255, 255, 255, 127)),
      /`precompiled_charsmap` is broken: unit 0 leads outside/,
      "malformed",
    ],
  ])("that is %s is refused", async (_, content, message, failure) => {
    const error = await errorOf(write("tokenizer.model", content));
    expect(error.message).toMatch(message);
    expect(error.failure).toBe(failure);
  });
});

describe("ranks of tiktoken", () => {
  const line = (bytes: number[], rank: number) => `${Buffer.from(bytes).toString("base64")} ${rank}\n`;
  const everyByte = Array.from({ length: 256 }, (_, value) => line([value], value)).join("");
  /** As many as r50k_base has: after the bytes, tokens that no text has. */
  const fillers = (count: number) =>
    Array.from({ length: count }, (_, index) =>
      line([0xff, 0xfe, index >> 8, index & 255], 256 + index),
    ).join("");

  it("are read from a file of their own, or one that is named as a model's", async () => {
    const content = everyByte + fillers(50_000 - 2) + line([97, 97], 60_000) + line([97, 97, 97], 60_001);
    for (const name of ["r50k.tiktoken", "original/tokenizer.model"]) {
      write(name, content);
      expect(await encode(join(folder, name), "aaaaa é<|endoftext|>")).toEqual({
        tokens: ["aa", "aaa", "Ġ", "Ã", "©", "<|endoftext|>"],
        spans: [0, 2, 2, 5, 5, 6, 6, 7, 6, 7, 7, 20],
      });
    }
    expect((await encode(folder, "aa")).tokens).toEqual(["aa"]);
  });

  it.each([
    ["of an unknown encoding", everyByte, /has 256 ranks, .* r50k_base \(50256\)/, "unsupported"],
    ["with a line that is none", `${everyByte}x`, /line 257 is no token/, "malformed"],
    ["with a token that is not base64", "?? 0\n", /line 1 is not base64/, "malformed"],
    ["with a token twice", everyByte + line([0], 256), /line 257 has a token that has a rank/, "malformed"],
    ["with a rank twice", everyByte + line([0, 1], 5), /the rank 5 is given twice/, "malformed"],
    ["that lack a byte", everyByte.slice(everyByte.indexOf("\n") + 1), /the byte 0 has no rank/, "malformed"],
  ])("%s are refused", async (_, content, message, failure) => {
    const error = await errorOf(write("some.tiktoken", content));
    expect(error.message).toMatch(message);
    expect(error.failure).toBe(failure);
  });

  it("are not run when they are a module", async () => {
    const error = await errorOf(write("evil.cjs", "module.exports = process.exit(3)"));
    expect(error.message).toMatch(/does not export one object in JSON/);
  });
});

describe("a package's tokenizer", () => {
  const root = join(import.meta.dirname, "../../..");

  it("is found by the package's name, from any folder of the workspace", async () => {
    const { vocabSize } = await loadTokenizer("js-tiktoken/r50k_base", join(root, "test/language-server"));
    expect(vocabSize).toBe(50_257);
  });

  it("has to be named where there are several", async () => {
    const error = await loadTokenizer("js-tiktoken", root).catch((reason: unknown) => reason);
    expect((error as TokenizerError).message).toMatch(
      /holds several tokenizers\. Name one of them: .*cl100k_base/,
    );
  });
});

describe("Unicode's composed form", () => {
  it("is that of the whole text, with the places it comes from", () => {
    const text = "a\u0301b 각\u1112\u1161\u11ab q\u0323\u0307 Å";
    const composed = compose(text);
    expect(composed?.text).toBe(text.normalize("NFC"));
    expect(composed?.origins).toHaveLength((composed?.text.length ?? 0) + 1);
    expect(Array.from(composed?.origins.subarray(0, 3) ?? [])).toEqual([0, 2, 3]);
    expect(compose("plain é")).toBeUndefined();
  });
});
