import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readExample } from "../../../language-server/src/datasets/read-example";
import { RowReader } from "../../../language-server/src/documents/json-rows";
import {
  loadBuiltInTemplate,
  loadTemplate,
  type Template,
} from "../../../language-server/src/templates/template";
import { TemplateRenderError } from "../../../language-server/src/templates/template-error";
import { LineIndex } from "../../../language-server/src/text/line-index";
import {
  type EncodedExample,
  encodeExample,
  encodeExamples,
} from "../../../language-server/src/tokenizers/example";
import { lossMaskOf } from "../../../language-server/src/tokenizers/loss-mask";
import { rowTokens } from "../../../language-server/src/tokenizers/row-tokens";
import { type LoadedTokenizer, loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";
import { content, conversation } from "./examples";

const path = join(import.meta.dirname, "../../../../shared/data/models/stories260k");
const absent = existsSync(path) ? "" : " (skipped: ../shared/data is absent)";

describe("a token carries loss", () => {
  const mask = (spans: number[][], loss: number[][]) =>
    Array.from(
      lossMaskOf(
        Uint32Array.from(spans.flat()),
        loss.map(([start, end]) => ({ start: start as number, end: end as number })),
      ),
    ).join("");

  it("when it lies in a stretch that does", () => {
    expect(
      mask(
        [
          [0, 2],
          [2, 4],
          [4, 6],
          [6, 8],
        ],
        [[2, 6]],
      ),
    ).toBe("0110");
  });
  it("when it reaches over the stretch's edges", () => {
    expect(
      mask(
        [
          [0, 2],
          [2, 4],
          [4, 6],
          [6, 8],
        ],
        [[3, 5]],
      ),
    ).toBe("0110");
  });
  it("as all the bytes of one character do", () => {
    expect(
      mask(
        [
          [0, 1],
          [1, 2],
          [1, 2],
          [1, 2],
          [2, 3],
        ],
        [[1, 2]],
      ),
    ).toBe("01110");
  });
  it("without characters, between two that do", () => {
    expect(
      mask(
        [
          [0, 1],
          [1, 1],
          [1, 2],
          [2, 2],
          [2, 3],
        ],
        [[0, 2]],
      ),
    ).toBe("11100");
  });
  it("once, where two stretches share it", () => {
    expect(
      mask(
        [
          [0, 4],
          [4, 8],
          [8, 9],
        ],
        [
          [0, 5],
          [6, 7],
        ],
      ),
    ).toBe("110");
  });
  it("never for an empty stretch, or one past the end", () => {
    expect(
      mask(
        [
          [0, 1],
          [1, 2],
        ],
        [
          [1, 1],
          [5, 9],
        ],
      ),
    ).toBe("00");
  });
});

describe.skipIf(absent !== "")(`an example as tokens${absent}`, () => {
  let tokenizer: LoadedTokenizer;
  let bailong: Template;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(path);
    bailong = loadBuiltInTemplate("bailong");
  });
  const shown = ({ ids, lossMask }: EncodedExample) =>
    Array.from(ids, (id, index) => (lossMask[index] ? `[${tokenizer.token(id)}]` : tokenizer.token(id))).join(
      " ",
    );

  it("of text is BOS, the text, EOS, all but BOS with loss", async () => {
    const encoded = await encodeExample({ kind: "text", text: "Once a", ...content("") }, null, tokenizer);
    expect(shown(encoded)).toBe("<s> [▁Once] [▁a] [</s>]");
    expect(Array.from(encoded.spans)).toEqual([0, 0, 0, 4, 4, 6, 6, 6]);
    expect(encoded).toMatchObject({ count: 4, supervised: 3, dropped: false });
  });

  it("of a conversation trains outputs and the EOS that ends them", async () => {
    const encoded = await encodeExample(conversation("hi", "a", "hi", "the"), bailong, tokenizer);
    expect(shown(encoded)).toBe("<s> ▁h i </s> [▁a] [</s>] ▁h i </s> [▁the] [</s>]");
    expect(encoded).toMatchObject({ count: 11, supervised: 4 });
  });

  it("of prompt and completion trains the completion and EOS", async () => {
    const encoded = await encodeExample(
      { kind: "prompt-completion", prompt: content("hi"), completion: content(" the") },
      null,
      tokenizer,
    );
    expect(shown(encoded)).toBe("<s> ▁h i [▁the] [</s>]");
  });

  it("that is too long is cut, and says what that loses", async () => {
    const encoded = await encodeExample(conversation("hi", "a", "hi", "the"), bailong, tokenizer, {
      maxLength: 9,
    });
    expect(shown(encoded)).toBe("<s> ▁h i </s> [▁a] [</s>] ▁h i </s>");
    expect(encoded.spans.length).toBe(18);
    expect(encoded).toMatchObject({
      count: 11,
      supervised: 4,
      dropped: false,
      cut: { maxLength: 9, tokensLost: 2, supervisedLost: 2 },
    });
  });

  it("that is too long is dropped where that is asked, and one that just fits is not", async () => {
    const options = { maxLength: 10, truncation: "drop" } as const;
    const example = conversation("hi", "a", "hi", "the");
    const dropped = await encodeExample(example, bailong, tokenizer, options);
    expect(dropped).toMatchObject({ dropped: true, cut: { tokensLost: 11, supervisedLost: 4 } });
    const kept = await encodeExample(example, bailong, tokenizer, { ...options, maxLength: 11 });
    expect(kept.dropped).toBe(false);
    expect(kept.cut).toBeUndefined();
  });

  it("that the template refuses leaves the batch whole", async () => {
    const refused = conversation("hi", "a");
    const system = {
      ...refused.conversation.turns[0],
      role: "system",
    } as (typeof refused.conversation.turns)[0];
    const batch = await encodeExamples(
      [
        conversation("hi", "a"),
        { kind: "conversation", conversation: { turns: [system] } },
        conversation("a", "hi"),
      ],
      bailong,
      tokenizer,
    );
    expect(batch.map((row) => row instanceof TemplateRenderError)).toEqual([false, true, false]);
    expect(shown(batch[2] as EncodedExample)).toBe("<s> ▁a </s> [▁h] [i] [</s>]");
  });

  it("without loss spans says why", async () => {
    const template = loadTemplate(
      "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}",
      "t",
    );
    const encoded = await encodeExample(conversation("a", "b", "c", "d"), template, tokenizer);
    expect(encoded.supervised).toBe(0);
    expect(encoded.finding?.rule).toBe("template-prefix-unstable");
  });

  it("that is empty is only its ends", async () => {
    const encoded = await encodeExample({ kind: "text", text: "", ...content("") }, null, tokenizer);
    expect(shown(encoded)).toBe("<s> [</s>]");
  });

  describe("in its document", () => {
    /** Writes each token that stands in the document over its characters: trained ones in brackets. */
    async function overlay(
      document: string,
      format: "messages" | "alpaca" | "text",
      template: Template | null,
    ) {
      const [row] = [...new RowReader(document).rows()].filter(({ kind }) => kind === "row");
      if (!row?.node) throw new Error("the row does not parse");
      const { example } = readExample(row.node, format);
      if (!example) throw new Error("the row is no example");
      const encoded = await encodeExample(example, template, tokenizer);
      const lines = new LineIndex(document);
      const span = { start: row.start, end: row.end };
      const names = { tokenizer: "stories260k", template: template?.name ?? "" };
      const result = rowTokens(encoded, { lines, row: 0, span }, tokenizer, names);
      const places = result.tokens.map(({ range, supervised }) => {
        const { start, end } = lines.spanOf(range);
        const characters = document.slice(start, end);
        return supervised ? `[${characters}]` : characters;
      });
      return { result, places };
    }

    it("stands token by token on the characters it was made from, escapes and all", async () => {
      const document =
        '{"messages":[{"role":"user","content":"hi\\n\\u0061"},{"role":"assistant","content":"a\\ud83d\\ude00"}]}';
      const { places, result } = await overlay(document, "messages", bailong);
      expect(places).toEqual(["h", "i", "\\n", "\\u0061", "[a]", ...new Array(4).fill("[\\ud83d\\ude00]")]);
      expect(result).toMatchObject({ count: 12, supervised: 6, template_tokens: 3, row: 0 });
      expect(result.tokens.at(-1)).toMatchObject({ token: "<0x80>", kind: "byte" });
    });

    it("leaves out what stands nowhere", async () => {
      const document = '{"instruction":"hi","input":"a","output":"the"}';
      const { places } = await overlay(document, "alpaca", bailong);
      expect(places).toEqual(["h", "i", "a", "[the]"]);
    });

    it("of plain text counts BOS and EOS as nobody's", async () => {
      const { places, result } = await overlay('{"text":"the"}', "text", null);
      expect(places).toEqual(["[the]"]);
      expect(result).toMatchObject({ count: 3, supervised: 2, template_tokens: 2 });
    });
  });
});
