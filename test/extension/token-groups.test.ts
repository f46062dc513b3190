import { expect, test } from "vitest";
import { groupTokens } from "../../extension/src/tokens/token-groups";
import type { RowToken } from "../../language-server/src/protocol";

const token = (start: number, end: number, name: string, change: Partial<RowToken> = {}): RowToken => ({
  range: { start: { line: 0, character: start }, end: { line: 0, character: end } },
  id: start,
  token: name,
  supervised: false,
  kind: "text",
  ...change,
});

test("the bytes of one character are one group, its neighbours groups of their own", () => {
  const bytes = ["<0xE8>", "<0xB2>", "<0x93>"].map((name) => token(1, 2, name, { kind: "byte" }));
  const groups = groupTokens([token(0, 1, "a"), ...bytes, token(2, 4, "bc")]);
  expect(groups.map(({ tokens }) => tokens.map((each) => each.token))).toEqual([
    ["a"],
    ["<0xE8>", "<0xB2>", "<0x93>"],
    ["bc"],
  ]);
});

test("tokens without characters of their own are not drawn", () => {
  expect(groupTokens([token(3, 3, "▁")])).toEqual([]);
});
