import { describe, expect, it } from "vitest";
import { extendVocabulary } from "../../../../language-server/src/tokenizers/extension/extend";
import { PlainEncoder } from "../../../../language-server/src/tokenizers/extension/plain-encoder";
import { charactersOf } from "../../../../language-server/src/tokenizers/extension/scripts";
import { withoutPreparation } from "../../../../language-server/src/tokenizers/extension/tokenizer-files";
import {
  baseTokenBytes,
  zipTieJson,
  zipTieMap,
} from "../../../../language-server/src/tokenizers/extension/zip-tie";
import type { ZipTieWeights } from "../../../../language-server/src/tokenizers/extension/zip-tie-weights";
import { byteFallbackBase, byteLevelBase } from "./base";

const han = charactersOf(["Han"]);

async function mapOf(weights: ZipTieWeights) {
  const base = byteFallbackBase("的");
  const { added } = extendVocabulary(base, ["物", "物的", "的的", "▁的"], han);
  const bare = new PlainEncoder(withoutPreparation(JSON.stringify(base.json)));
  const map = await zipTieMap(added, bare, weights, baseTokenBytes(base));
  const name = (id: number) => base.vocabulary.tokens.get(id);
  return Object.fromEntries(
    added.map(({ id, token }) => [token, map.get(id)?.map(([part, weight]) => [name(part), weight])]),
  );
}

describe("a new token begins as the weighted sum of those that the original tokenizer makes of its text", () => {
  it("all alike, without the space that is put before a text", async () => {
    const third = 1 / 3;
    expect(await mapOf("mean")).toEqual({
      物: [
        ["<0xE7>", third],
        ["<0x89>", third],
        ["<0xA9>", third],
      ],
      物的: ["<0xE7>", "<0x89>", "<0xA9>", "的"].map((token) => [token, 0.25]),
      的的: [["的", 1]],
      "▁的": [
        ["▁", 0.5],
        ["的", 0.5],
      ],
    });
  });

  it("by position, the first one most", async () => {
    const { 物: parts } = await mapOf("position");
    const total = 1 + 1 / 2 + 1 / 3;
    expect(parts?.map(([, weight]) => weight)).toEqual([1 / total, 1 / 2 / total, 1 / 3 / total]);
  });

  it("by length in bytes", async () => {
    const map = await mapOf("length");
    expect(map.物的?.map(([, weight]) => weight)).toEqual([1 / 6, 1 / 6, 1 / 6, 3 / 6]);
    expect(map["▁的"]?.map(([, weight]) => weight)).toEqual([1 / 4, 3 / 4]);
  });

  it("for byte-level tokens, too", async () => {
    const base = byteLevelBase();
    const { added } = extendVocabulary(base, ["物"], han);
    const bare = new PlainEncoder(withoutPreparation(JSON.stringify(base.json)));
    const map = await zipTieMap(added, bare, "length", baseTokenBytes(base));
    expect([...map.values()].map((parts) => parts.length)).toEqual([2, 3]);
  });
});

it("the map is JSON with a line for each token", () => {
  const map = new Map([
    [7, [[1, 0.5] as const, [2, 0.5] as const]],
    [8, [[3, 1] as const]],
  ]);
  expect(zipTieJson(map)).toBe('{\n  "7": [[1,0.5],[2,0.5]],\n  "8": [[3,1]]\n}\n');
});
