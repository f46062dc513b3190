import { describe, expect, it } from "vitest";
import type { BaseTokenizer } from "../../../../language-server/src/tokenizers/extension/base-tokenizer";
import {
  type Extension,
  extendVocabulary,
} from "../../../../language-server/src/tokenizers/extension/extend";
import { compareIds, unreachableTokens } from "../../../../language-server/src/tokenizers/extension/measure";
import { PlainEncoder } from "../../../../language-server/src/tokenizers/extension/plain-encoder";
import { charactersOf, isWithin } from "../../../../language-server/src/tokenizers/extension/scripts";
import {
  extendedTokenizerJson,
  withoutPreparation,
} from "../../../../language-server/src/tokenizers/extension/tokenizer-files";
import { byteFallbackBase, byteLevelBase } from "./base";

const han = charactersOf(["Han"]);
const utf8 = (text: string) => new TextEncoder().encode(text);

/** What Hugging Face's library makes of the extended file. */
async function tokensOf(base: BaseTokenizer, extension: Extension, text: string): Promise<string[]> {
  const [ids] = await new PlainEncoder(extendedTokenizerJson(base, extension)).encode([text]);
  return (ids ?? []).map((id) => extension.vocabulary.tokens.get(id) ?? "?");
}

async function unreachable(base: BaseTokenizer, extension: Extension): Promise<string[]> {
  const json = withoutPreparation(extendedTokenizerJson(base, extension));
  return unreachableTokens(extension.added, new PlainEncoder(json));
}

describe("a base with byte fallback", () => {
  it("gets characters that it lacks, then what they merge to", async () => {
    const base = byteFallbackBase("abc的");
    const extension = extendVocabulary(base, ["的", "物", "理", "▁", "物理", "▁物理"], han);
    expect(extension.added.map(({ token }) => token)).toEqual(["物", "理", "物理", "▁物理"]);
    expect(extension.added[0]?.id).toBe(base.size);
    expect(extension.shared).toEqual(["的", "▁"]);
    expect(extension.merges).toEqual([
      ["物", "理"],
      ["▁", "物理"],
    ]);
    expect(await tokensOf(base, extension, "物理的物")).toEqual(["▁物理", "的", "物"]);
    expect(await unreachable(base, extension)).toEqual([]);
  });

  it("keeps tokens of other scripts out", () => {
    const extension = extendVocabulary(
      byteFallbackBase("abc"),
      ["物", "ab", "a物", "é", "1", "，", "、", "，，"],
      han,
    );
    expect(extension.added.map(({ token }) => token)).toEqual(["物", "，", "、"]);
    expect(extension.otherScript).toEqual(["ab", "a物", "é", "1", "，，"]);
  });

  it("goes around the base's own merges, or says what they keep out of reach", async () => {
    // The base joins the middle two first, whatever was trained.
    const base = byteFallbackBase("甲乙丙丁", [["乙", "丙"]]);
    const trained = ["甲乙", "丙丁", "乙丙丁", "甲乙丙", "甲乙丙丁"];
    const extension = extendVocabulary(base, trained, han);
    expect(extension.unreachable).toEqual([]);
    expect(extension.merges).toEqual([
      ["甲", "乙"],
      ["丙", "丁"],
      ["乙丙", "丁"],
      ["甲", "乙丙"],
      ["甲", "乙丙丁"],
    ]);
    expect(await unreachable(base, extension)).toEqual([]);
    expect(
      extendVocabulary(byteFallbackBase("甲乙丙丁", [["乙", "丙"]]), ["甲乙丙丁"], han).unreachable,
    ).toEqual(["甲乙丙丁"]);
  });

  it("keeps the ids of tokens that were added to the base", async () => {
    const added_tokens = [{ id: 262, content: "<|mark|>", special: true }].map((token) => ({
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      ...token,
    }));
    const base = byteFallbackBase("abcd", [], { added_tokens });
    expect(base.size).toBe(263);
    const extension = extendVocabulary(base, ["物"], han);
    expect(extension.added).toEqual([{ id: 263, token: "物" }]);
    const [ids] = await new PlainEncoder(extendedTokenizerJson(base, extension)).encode(["a<|mark|>物"]);
    expect(ids?.slice(-3)).toEqual([262, base.vocabulary.ids.get("▁"), 263]);
  });

  it("is written with its merges as it writes them", () => {
    const text = JSON.stringify({ ...byteFallbackBase("甲乙").json });
    const json = JSON.parse(text);
    json.model.vocab.ab = 400;
    json.model.merges = ["a b"];
    json.model.vocab.a = 401;
    json.model.vocab.b = 402;
    const base = byteFallbackBase("甲乙");
    const old = { ...base, json };
    const extension = extendVocabulary(base, ["甲乙"], han);
    expect(JSON.parse(extendedTokenizerJson(old, extension)).model.merges).toEqual(["a b", "甲 乙"]);
    expect(JSON.parse(extendedTokenizerJson(base, extension)).model.merges).toEqual([["甲", "乙"]]);
  });
});

describe("a base of bytes", () => {
  it("gets merges that lead from the bytes of a character to it", async () => {
    const [first, second, third] = ["物", "理", "物"].map(utf8) as [Uint8Array, Uint8Array, Uint8Array];
    // One character's first two bytes are a token already, the other's are not.
    const base = byteLevelBase([[first.slice(0, 1), third.slice(1, 2)]]);
    const extension = extendVocabulary(base, ["物", "理", "物理"], han);
    expect(extension.unreachable).toEqual([]);
    expect(extension.intermediate).toBe(1);
    expect(extension.added).toHaveLength(4);
    expect(await unreachable(base, extension)).toEqual([]);
    expect(await tokensOf(base, extension, "a物理 理")).toHaveLength(4);
    expect(second).toHaveLength(3);
  });
});

it("text without the scripts' characters keeps its ids, whatever was appended", async () => {
  const trained = [..."天地人，。「」、（）", "天地", "天地人", "▁天", "▁天地"];
  const own = isWithin([...han.characters, ...han.punctuation].sort((a, b) => a[0] - b[0]));
  const texts = [
    "The quick (brown) fox — “jumps”, naïve café 123.",
    "Привет, мир! ▁▁ \t\n🦊 こ",
    "quotes 天地 and 「人」 inside",
  ].map((text) => ({ text, words: undefined }));
  for (const base of [byteFallbackBase("Theabc", [["h", "e"]]), byteLevelBase()]) {
    const before = new PlainEncoder(JSON.stringify(base.json));
    const extension = extendVocabulary(base, trained, han);
    const after = new PlainEncoder(extendedTokenizerJson(base, extension));
    expect(await compareIds(texts, own, before, after)).toEqual({ texts: 3, changed: 0, examples: [] });
    // The check can fail: with nothing called new, the quotations have changed.
    expect((await compareIds(texts, () => false, before, after)).examples).toEqual([texts[2]?.text]);
  }
});

it("an extension is the same every time", () => {
  const write = () => {
    const base = byteFallbackBase("甲乙丙");
    return extendedTokenizerJson(base, extendVocabulary(base, ["甲乙", "乙丙", "甲乙丙", "丁"], han));
  };
  expect(write()).toBe(write());
});

describe("the characters of a script", () => {
  it.each([
    ["Han", "物々〇", "，。「」、（）！？", "aé1 .—’こ가"],
    ["Thai", "กำ้", "๏๑", "a1."],
    ["Devanagari", "कि", "।१", "a1"],
    ["Arabic", "سَ", "،؟٣", "a1,"],
  ] as const)("%s", (script, letters, marks, others) => {
    const { characters, punctuation } = charactersOf([script]);
    const [isLetter, isMark] = [isWithin(characters), isWithin(punctuation)];
    for (const letter of letters)
      expect([letter, isLetter(letter), isMark(letter)]).toEqual([letter, true, false]);
    for (const mark of marks) expect([mark, isLetter(mark), isMark(mark)]).toEqual([mark, false, true]);
    for (const other of others)
      expect([other, isLetter(other), isMark(other)]).toEqual([other, false, false]);
  });
});
