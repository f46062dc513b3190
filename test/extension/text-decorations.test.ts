import { expect, test } from "vitest";
import { code, escaped } from "../../extension/src/markdown";
import { countLabel, drawnTokens } from "../../extension/src/tokens/text-decorations";

const range = (line: number, start: number, end: number, endLine = line) => ({
  start: { line, character: start },
  end: { line: endLine, character: end },
});
const tokens = {
  count: 4,
  lines: [3, 1],
  spans: [0, 0, 0, 1, 3, 0, 1, 0, 3, 1, 0, 3, 1, 0, 1],
  bytes: [0, 2],
  special: [1],
  odd: true,
};

test("neighbouring places take turns, beginning with the colour they have in the whole text", () => {
  const { even, odd } = drawnTokens(tokens);
  expect(odd).toEqual([range(0, 0, 1), range(0, 3, 0, 1)]);
  expect(even).toEqual([range(0, 1, 3)]);
});

test("bytes and special tokens are marked, but no box is drawn around a line break", () => {
  const { byte, special } = drawnTokens(tokens);
  expect(byte).toEqual([range(0, 0, 1)]);
  expect(special).toEqual([range(0, 1, 3)]);
});

test("one tokenizer's count has its unit, several have their names", () => {
  const label = (...counts: (number | undefined)[]) =>
    countLabel(
      counts.map((count, index) => ({ name: `t${index}`, count })),
      String,
      (count) => `${count} tokens`,
    );
  expect(label(3)).toBe("3 tokens");
  expect(label(3, 4)).toBe("t0 3 · t1 4");
  expect(label(undefined, 4)).toBe("t1 4");
  expect(label(undefined)).toBe("");
});

test.each([
  ["▁the", "`▁the`"],
  ["\n", "`\\n`"],
  ["a|b", "`a\\|b`"],
  ["`", "`` ` ``"],
  [" a", "`  a `"],
])("%j is written %s in a hover's table", (token, written) => {
  expect(code(token)).toBe(written);
});

test("a name or a reason stays within its cell of the hover's table", () => {
  expect(escaped("a|b\r\nc_d\n\ne")).toBe("a\\|b c\\_d e");
});
