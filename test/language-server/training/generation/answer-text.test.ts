/** Tokens become text as they come: whole characters, without what is the template's. */
import { resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { loadBuiltInTemplate, loadTemplate } from "../../../../language-server/src/templates/template";
import { type LoadedTokenizer, loadTokenizer } from "../../../../language-server/src/tokenizers/tokenizer";
import {
  type AnswerMargins,
  AnswerText,
} from "../../../../language-server/src/training/generation/answer-text";
import { endOfTurn } from "../../../../language-server/src/training/generation/end-of-turn";

let tokenizer: LoadedTokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(resolve(__dirname, "../../../../examples/traditional-chinese/tokenizer"));
});

const idsOf = async (text: string) => [...(await tokenizer.encode(text, { addSpecialTokens: false })).ids];

async function written(text: string, margins: AnswerMargins, isWhole = true): Promise<string[]> {
  const answer = new AnswerText(tokenizer, margins);
  const parts = (await idsOf(text)).map((id) => answer.push(id));
  return [...parts, answer.end(isWhole)];
}

const none: AnswerMargins = { before: "", after: "" };
const spaces: AnswerMargins = { before: " ", after: " " };

describe("an answer's text", () => {
  test("a character of several tokens is written once, when it is whole", async () => {
    const parts = await written("a😀𠮷b", none);
    expect(parts.length).toBeGreaterThan(9);
    expect(parts.join("")).toBe("a😀𠮷b");
    expect(parts.some((part) => /[\ufffd\ud800-\udfff](?![\udc00-\udfff])/u.test(part))).toBe(false);
  });

  test("half a character at the end is left out, and in the middle is U+FFFD", async () => {
    const ids = await idsOf("😀");
    const answer = new AnswerText(tokenizer, none);
    expect(ids.slice(0, 2).map((id) => answer.push(id))).toEqual(["", ""]);
    expect([...(await idsOf("x"))].map((id) => answer.push(id)).join("")).toBe("\ufffdx");
    answer.push(ids[0] as number);
    expect(answer.end(false)).toBe("");
  });

  test("special tokens are no text", async () => {
    expect((await written("<s>a</s>", none)).join("")).toBe("a");
  });

  test("the spaces that the template puts around an answer are not part of it", async () => {
    expect((await written(" some words ", spaces)).join("")).toBe("some words");
    expect((await written("  indented  ", spaces)).join("")).toBe(" indented ");
    expect((await written("none", spaces)).join("")).toBe("none");
    expect((await written(" ", spaces)).join("")).toBe("");
  });

  test("an answer that was cut keeps what it ends with", async () => {
    expect((await written(" some words ", spaces, false)).join("")).toBe("some words ");
  });
});

describe("what ends an answer", () => {
  const end = async (source: string) => {
    const { id, margins } = await endOfTurn(loadTemplate(source, "test"), tokenizer);
    return { token: id === undefined ? undefined : tokenizer.token(id), ...margins };
  };
  test("the bailong template's spaces and EOS", async () => {
    const { id, margins } = await endOfTurn(loadBuiltInTemplate("bailong"), tokenizer);
    expect([id, margins]).toEqual([tokenizer.special.eos?.id, spaces]);
  });
  test("any special token, whether it is EOS or not", async () => {
    const source =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n<unk>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    expect(await end(source)).toEqual({ token: "<unk>", before: "", after: "\n" });
  });
  test("nothing, when the template goes on with words of its own", async () => {
    const source = "{% for m in messages %}{{ m.content }} end of {{ m.role }}</s>{% endfor %}";
    expect(await end(source)).toEqual({ token: undefined, before: "", after: "" });
  });
  test("nothing, when the template takes no such exchange", async () => {
    expect(await end("{{ raise_exception('never') }}")).toEqual({ token: undefined, before: "", after: "" });
  });
});
