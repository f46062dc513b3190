/** Tokenizers beside each other, on one text. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { align, columnAt } from "../../../language-server/src/tokenizers/alignment";
import { compareText, countTokens, loadNamed } from "../../../language-server/src/tokenizers/comparison";
import { efficiencyOf, perToken, sizeOf } from "../../../language-server/src/tokenizers/figures";

const example = join(import.meta.dirname, "../../../examples/traditional-chinese/tokenizer");

describe("columns", () => {
  const columns = (spans: number[][], length: number) => {
    const { boundaries, tokens } = align(
      spans.map((each) => Uint32Array.from(each)),
      length,
    );
    return { boundaries: Array.from(boundaries), tokens: tokens.map((each) => Array.from(each)) };
  };

  it("begin and end together in every tokenizer", () => {
    expect(
      columns(
        [
          [0, 2, 2, 5, 5, 6],
          [0, 1, 1, 2, 2, 6],
        ],
        6,
      ),
    ).toEqual({
      boundaries: [0, 2, 6],
      tokens: [
        [0, 1, 3],
        [0, 2, 3],
      ],
    });
  });

  it("do not cut the tokens of one character apart", () => {
    expect(
      columns(
        [
          [0, 2, 0, 2, 0, 2, 2, 3],
          [0, 3],
        ],
        3,
      ).boundaries,
    ).toEqual([0, 3]);
    expect(
      columns(
        [
          [0, 2, 0, 2, 0, 2, 2, 3],
          [0, 2, 2, 3],
        ],
        3,
      ),
    ).toEqual({
      boundaries: [0, 2, 3],
      tokens: [
        [0, 3, 4],
        [0, 1, 2],
      ],
    });
  });

  it("take in what a normaliser leaves out, and tokens that stand nowhere", () => {
    // BOS and EOS have no characters, and nothing covers offsets 1 and 2.
    expect(columns([[0, 0, 0, 1, 3, 4, 0, 0]], 5)).toEqual({ boundaries: [0, 3, 5], tokens: [[0, 2, 4]] });
  });

  it("are none in an empty text", () => {
    expect(columns([[0, 0], []], 0)).toEqual({ boundaries: [0], tokens: [[0], [0]] });
  });

  it("are found by offset", () => {
    const boundaries = Uint32Array.of(0, 2, 6, 7);
    expect([0, 1, 2, 5, 6, 7, 99].map((offset) => columnAt({ boundaries }, offset))).toEqual([
      0, 0, 1, 1, 2, 2, 2,
    ]);
  });
});

describe("a text under several tokenizers", () => {
  it("shows each one's tokens of the same stretch", async () => {
    const comparison = await compareText("你好😀ab", await loadNamed([example, "characters", example]));
    expect(comparison.results.map(({ name }) => name)).toEqual([example, "characters"]);
    const column = comparison.at(3);
    expect(column).toMatchObject({ start: 2, end: 4 });
    expect(column?.tokens[0]?.map(({ kind, bytes }) => [kind, ...(bytes ?? [])])).toEqual([
      ["byte", 0xf0],
      ["byte", 0x9f],
      ["byte", 0x98],
      ["byte", 0x80],
    ]);
    expect(column?.tokens[1]).toMatchObject([{ id: 0x1f600, token: "😀", start: 2, end: 4 }]);
    expect(comparison.column(0)).toMatchObject({ start: 0 });
    expect(comparison.column(comparison.columnCount - 1).end).toBe(6);
  });

  it("gives figures with and without special tokens", async () => {
    const tokenizers = await loadNamed([example]);
    const [plain] = await countTokens("你😀", tokenizers);
    const [special] = await countTokens("你😀</s>", tokenizers, { addSpecialTokens: false });
    expect(plain).toMatchObject({
      characters: 2,
      bytes: 7,
      byteTokens: 4,
      specialTokens: 0,
      words: undefined,
    });
    expect(special).toMatchObject({ tokens: (plain?.tokens ?? 0) + 1, specialTokens: 1 });
    if (!plain) throw new Error("no figures");
    expect(efficiencyOf(plain)).toBeUndefined();
    expect(efficiencyOf({ ...plain, words: 10 })).toBe(10 / plain.tokens);
    expect(perToken(plain.bytes, { ...plain, tokens: 0 })).toBe(0);
  });

  it("can be given up", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(compareText("x", await loadNamed(["characters"]), { signal })).rejects.toThrow("enough");
  });
});

it("a text's size counts a lone surrogate as the character that stands in for it", () => {
  for (const text of ["", "aé你😀", "\ud83d", "\ude00\ud83d", "\0\u07ff\u0800\uffff\u{10ffff}"]) {
    expect(sizeOf(text)).toEqual({ characters: [...text].length, bytes: Buffer.byteLength(text) });
  }
});
