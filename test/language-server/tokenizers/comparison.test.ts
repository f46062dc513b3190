/** Tokenizers beside each other, on one text. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { align } from "../../../language-server/src/tokenizers/alignment";
import { efficiencyOf, figuresOf, perToken, sizeOf } from "../../../language-server/src/tokenizers/figures";
import { loadNamed } from "../../../language-server/src/tokenizers/named-tokenizers";
import { TextComparison, type TokenizedText } from "../../../language-server/src/tokenizers/text-comparison";
import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";

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
});

it("a column has each tokenizer's tokens of the same stretch", async () => {
  const text = "你好😀ab";
  const results = await Promise.all(
    (await loadNamed([example, "characters", example])).map(async ({ name, tokenizer }) => {
      const encoded = await tokenizer.encode(text, { addSpecialTokens: false });
      return { name, tokenizer, encoded, figures: figuresOf(encoded, tokenizer) };
    }),
  );
  expect(results.map(({ name }) => name)).toEqual([example, "characters"]);
  const comparison = new TextComparison(text, results);
  const columns = Array.from({ length: comparison.columnCount }, (_, index) => comparison.column(index));
  expect(columns[0]).toMatchObject({ start: 0 });
  expect(columns.at(-1)?.end).toBe(6);
  const column = columns.find(({ start }) => start === 2);
  expect(column?.end).toBe(4);
  const { tokenizer } = results[0] as TokenizedText;
  const [bytes = [], characters] = column?.ids ?? [];
  expect(Array.from(bytes, (id) => [tokenizer.kind(id), ...(tokenizer.bytes(id) ?? [])])).toEqual([
    ["byte", 0xf0],
    ["byte", 0x9f],
    ["byte", 0x98],
    ["byte", 0x80],
  ]);
  expect(characters).toEqual(Uint32Array.of(0x1f600));
});

it("figures count special tokens apart", async () => {
  const tokenizer = await loadTokenizer(example);
  const figures = async (text: string) =>
    figuresOf(await tokenizer.encode(text, { addSpecialTokens: false }), tokenizer);
  const [plain, special] = [await figures("你😀"), await figures("你😀</s>")];
  expect(plain).toMatchObject({ characters: 2, bytes: 7, byteTokens: 4, specialTokens: 0, words: undefined });
  expect(special).toMatchObject({ tokens: plain.tokens + 1, specialTokens: 1 });
  expect(efficiencyOf(plain)).toBeUndefined();
  expect(efficiencyOf({ ...plain, words: 10 })).toBe(10 / plain.tokens);
  expect(perToken(plain.bytes, { ...plain, tokens: 0 })).toBe(0);
});

it("a text's size counts a lone surrogate as the character that stands in for it", () => {
  for (const text of ["", "aé你😀", "\ud83d", "\ude00\ud83d", "\0\u07ff\u0800\uffff\u{10ffff}"]) {
    expect(sizeOf(text)).toEqual({ characters: [...text].length, bytes: Buffer.byteLength(text) });
  }
});
