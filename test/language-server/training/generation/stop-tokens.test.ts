import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../../language-server/src/tokenizers/tokenizer";
import { stopTokenIds } from "../../../../language-server/src/training/generation/stop-tokens";

const path = resolve(__dirname, "../../../../examples/traditional-chinese/tokenizer");

describe("a stop token", () => {
  test("is named as the vocabulary writes it, by its text, or by its id", async () => {
    const tokenizer = await loadTokenizer(path);
    const the = tokenizer.id("▁the") as number;
    expect(await stopTokenIds(["</s>", "▁the", " the", String(the)], tokenizer)).toEqual([2, the, the, the]);
    // A digit that is a token is that token.
    expect(await stopTokenIds(["5"], tokenizer)).toEqual([tokenizer.id("5")]);
    expect(tokenizer.id("5")).not.toBe(5);
  });

  test.each([
    ["the moon", /"the moon" is \d+ tokens of the tokenizer/],
    ["99999", /"99999" is \d+ tokens of the tokenizer/],
    ["", /"" is no token of the tokenizer/],
  ])("%j is none", async (token, message) => {
    await expect(stopTokenIds([token], await loadTokenizer(path))).rejects.toThrow(message);
  });
});
