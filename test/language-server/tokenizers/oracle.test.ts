/** Ids, offsets and assistant masks are those of HF `tokenizers` and `transformers` in Python. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { BAILONG_TEMPLATE } from "../../../language-server/src/templates/bailong";
import { loadTemplate } from "../../../language-server/src/templates/template";
import { encodeExample } from "../../../language-server/src/tokenizers/example";
import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";
import { conversation } from "./examples";

const root = join(import.meta.dirname, "../../..");
const shared = join(root, "../shared/data");
const python = join(root, "dist/oracle-venv/bin/python");
const files = {
  stories260k: join(shared, "models/stories260k/tokenizer.json"),
  "Llama 2": join(shared, "tokenizers/llama2-tokenizer.json"),
  "the example's": join(root, "examples/traditional-chinese/tokenizer/tokenizer.json"),
};

const missing = !existsSync(python)
  ? " (skipped: the oracle's Python environment is not set up)"
  : !existsSync(shared)
    ? " (skipped: ../shared/data is absent)"
    : "";

/** All of one suite's questions at once: starting Python takes longer than answering. */
function ask<Answer>(requests: object[]): Answer[] {
  const result = spawnSync(python, [join(import.meta.dirname, "encode.py")], {
    input: JSON.stringify(requests),
    encoding: "utf8",
    env: {
      ...process.env,
      TRANSFORMERS_VERBOSITY: "error",
      HF_HUB_OFFLINE: "1",
      TOKENIZERS_PARALLELISM: "false",
    },
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as Answer[];
}

const ODD_TEXTS = [
  "",
  " ",
  "\n\n\t x",
  "a😀b👩‍👩‍👧‍👦c🇹🇼",
  "e\u0301 n\u0303o\u0308 Z\u0351\u036B\u0343algo",
  "سلام עולם नमस्ते ไทย 한국어",
  "𝕏𠮷𠀀",
  "<s> hi</s>there </s><unk>",
  "null\u0000byte \ufeffbom \u2028line",
  "ﬁ ½ ㈱ Ａ　　wide",
  '    indented code("x")\r\n',
  "物理學😀".repeat(300),
];

function udSentences(): string[] {
  const lines = readFileSync(join(shared, "ud-chinese-gsd/all-4997.tsv"), "utf8").split("\n");
  return lines.slice(0, 300).map((line) => line.split("\t").at(-1) ?? "");
}

describe.skipIf(missing !== "")(`tokens are those of Python's tokenizers${missing}`, () => {
  type Answer = { ids: number[]; offsets: [number, number][] }[];
  let texts: string[];
  const answers = new Map<string, Answer>();
  beforeAll(() => {
    texts = [...ODD_TEXTS, ...udSentences()];
    const asked = Object.values(files).flatMap((file) => [false, true].map((special) => ({ file, special })));
    const given = ask<Answer>(asked.map((request) => ({ ...request, texts })));
    for (const [index, { file, special }] of asked.entries()) {
      answers.set(`${file} ${special}`, given[index] as Answer);
    }
  }, 300_000);

  it.each(Object.entries(files))("with %s tokenizer", { timeout: 60_000 }, async (_, file) => {
    const tokenizer = await loadTokenizer(file);
    for (const special of [false, true]) {
      const expected = answers.get(`${file} ${special}`);
      const encoded = await tokenizer.encodeBatch(texts, { addSpecialTokens: special });
      for (const [index, text] of texts.entries()) {
        const [ours, theirs] = [encoded[index], expected?.[index]];
        expect(Array.from(ours?.ids ?? []), text).toEqual(theirs?.ids);
        // Code points to UTF-16, the slow and obvious way.
        const units = [0];
        for (const character of text) units.push((units.at(-1) as number) + character.length);
        const offsets = theirs?.offsets.flat().map((offset) => units[offset]);
        expect(Array.from(ours?.spans ?? []), text).toEqual(offsets);
      }
    }
  });
});

describe.skipIf(missing !== "")(`loss masks are transformers' assistant masks${missing}`, () => {
  const conversations = [
    ["hi", "Hello there"],
    ["通過創建新理論", "物理學對於人類文明有極為顯著的貢獻。", "😀?", "是的👩‍👩‍👧"],
    ["a", "", "b", "  spaces  ", "c\n", "\n\nlines\n"],
    ["سلام", "e\u0301 </s> x"],
  ];
  const templates: Record<string, string> = {
    bailong: BAILONG_TEMPLATE,
    "text around the answer": `{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}|{% else %}U:{{ m.content }}|{% endif %}{% endfor %}`,
  };
  const cases = Object.entries(files).flatMap(([fileName, file]) =>
    Object.entries(templates).map(([name, template]) => ({
      name: `${fileName} tokenizer, ${name}`,
      file,
      template,
    })),
  );
  type Answer = { ids: number[]; mask: number[] }[];
  let answers: Answer[];
  beforeAll(() => {
    const messages = conversations.map((contents) =>
      conversation(...contents).conversation.turns.map(({ role, content }) => ({ role, content })),
    );
    answers = ask<Answer>(cases.map(({ file, template }) => ({ file, template, conversations: messages })));
  }, 300_000);

  it.each(cases.map((each, index) => ({ ...each, index })))("$name", async ({ file, template, index }) => {
    const tokenizer = await loadTokenizer(file);
    for (const [number, contents] of conversations.entries()) {
      const encoded = await encodeExample(conversation(...contents), loadTemplate(template, "t"), tokenizer);
      const expected = answers[index]?.[number];
      expect(Array.from(encoded.ids), encoded.text).toEqual(expected?.ids);
      expect(Array.from(encoded.lossMask), encoded.text).toEqual(expected?.mask);
    }
  });
});

describe.skipIf(!existsSync(shared))("published counts", () => {
  it("Llama 2 takes 59 tokens for the sentence of Bailong's table 1", async () => {
    const tokenizer = await loadTokenizer(files["Llama 2"]);
    const sentence = "通過創建新理論與發展新科技，物理學對於人類文明有極為顯著的貢獻。";
    expect((await tokenizer.encode(sentence, { addSpecialTokens: false })).ids.length).toBe(59);
  });
});
