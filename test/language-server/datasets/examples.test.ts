import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DatasetChecker } from "../../../language-server/src/datasets/check";
import type { Content, Conversation } from "../../../language-server/src/datasets/conversation";
import { ContentMap } from "../../../language-server/src/datasets/json-string";
import { type DatasetRow, readDataset } from "../../../language-server/src/datasets/read-dataset";
import { LineIndex } from "../../../language-server/src/text/line-index";
import { sharedData } from "../shared-data";

const folder = mkdtempSync(join(tmpdir(), "ziptie-datasets-"));
afterAll(() => rmSync(folder, { recursive: true }));

const conversationOf = (row: object): Conversation => {
  const { example } = new DatasetChecker(JSON.stringify(row)).row(0);
  if (example?.kind !== "conversation") throw new Error(`Not a conversation: ${JSON.stringify(example)}`);
  return example.conversation;
};
const said = ({ turns }: Conversation): [string, string][] =>
  turns.map(({ role, content }) => [role, content]);

describe("examples", () => {
  it("of alpaca put history before, and input after the instruction", () => {
    const row = { instruction: "do", input: "this", output: "done", system: "be", history: [["a", "b"]] };
    expect(said(conversationOf(row))).toEqual([
      ["system", "be"],
      ["user", "a"],
      ["assistant", "b"],
      ["user", "do\nthis"],
      ["assistant", "done"],
    ]);
    expect(said(conversationOf({ instruction: "do", input: "", output: "done" }))[0]).toEqual(["user", "do"]);
  });

  it("of sharegpt translate roles, keep their own, and read tools", () => {
    const conversation = conversationOf({
      system: "be",
      tools: '[{"name": "t"}]',
      conversations: [
        { from: "human", value: "a" },
        { from: "function_call", value: "{}" },
        { from: "observation", value: "1" },
        { from: "gpt", value: "b" },
      ],
    });
    expect(said(conversation).map(([role]) => role)).toEqual([
      "system",
      "user",
      "assistant",
      "tool",
      "assistant",
    ]);
    expect(conversation.turns[2]?.sourceRole).toBe("function_call");
    expect(conversation.tools).toEqual([{ name: "t" }]);
  });

  it("of messages join text parts and carry tool calls", () => {
    const conversation = conversationOf({
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", value: "b" },
          ],
        },
        { role: "assistant", content: null, tool_calls: [{ id: 1 }] },
        { role: "tool", content: "" },
        { role: "assistant", content: "c" },
      ],
    });
    expect(said(conversation)[0]).toEqual(["user", "ab"]);
    expect(conversation.turns[1]?.toolCalls).toEqual([{ id: 1 }]);
  });

  it("of prompts and completions are two contents, or a conversation", () => {
    const { example } = new DatasetChecker('{"prompt": "a", "completion": "b"}').row(0);
    expect(example).toMatchObject({
      kind: "prompt-completion",
      prompt: { content: "a" },
      completion: { content: "b" },
    });
    const turn = (role: string): object => ({ role, content: role });
    expect(said(conversationOf({ prompt: [turn("user")], completion: [turn("assistant")] })).length).toBe(2);
  });

  it("are not made of rows with faults, nor of what can only be recognised", () => {
    for (const row of [
      { text: 1 },
      { messages: [{ role: "usr", content: "a" }] },
      { chosen: "a", rejected: "b" },
      { a: 1 },
    ]) {
      expect(new DatasetChecker(JSON.stringify(row)).row(0).example).toBeUndefined();
    }
    expect(new DatasetChecker('{"chosen": "a", "rejected": "b"}').row(0).unsupported).toContain("preference");
  });
});

describe("ContentMap", () => {
  it("maps every character of a content to the characters that write it", () => {
    const text = '{"instruction": "tab\\tquote\\" \\u5b57\\ud842\\udfb7𠮷", "input": "é\\\\", "output": "x"}';
    const { example } = new DatasetChecker(text).row(0);
    if (example?.kind !== "conversation") throw new Error("Not a conversation.");
    const turn = example.conversation.turns[0] as Content;
    const map = new ContentMap(text, turn);
    expect(turn.content).toBe('tab\tquote" 字𠮷𠮷\né\\');
    const written = (content: string): string[] => {
      const start = turn.content.indexOf(content);
      return map.spans(start, start + content.length).map((span) => text.slice(span.start, span.end));
    };
    expect(written("b\tq")).toEqual(["b\\tq"]);
    expect(written('"')).toEqual(['\\"']);
    expect(written("字")).toEqual(["\\u5b57"]);
    expect(written("字𠮷𠮷\né")).toEqual(["\\u5b57\\ud842\\udfb7𠮷", "é"]);
    expect(written("\n")).toEqual([]);
    expect(written("\\")).toEqual(["\\\\"]);
    expect(map.offset(0)).toBe(text.indexOf("tab"));
    expect(map.offset(turn.content.length)).toBe(text.indexOf('", "output"'));
  });
});

const collect = async (path: string): Promise<DatasetRow[]> => {
  const rows: DatasetRow[] = [];
  for await (const row of readDataset(path)) rows.push(row);
  return rows;
};

describe("readDataset", () => {
  it.each([
    ["lines.jsonl", '{"text": "a"}\n\n{"text": ""}\n{"text": 1}\n{"text"\n'],
    [
      "array.json",
      '\ufeff[\n  {"text": "a"},\n  {"text": "𠮷", "x": tru},\n  {"instruction": "a", "output": ""}\n',
    ],
    ["mixed.jsonl", `${'{"text": "a", "id": 1}\n'.repeat(300)}{"text": "b", "id": "2"}\n{"messages": []}\n`],
  ])("finds in %s what the checker finds in its text", async (name, text) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    const lines = new LineIndex(text);
    const checker = new DatasetChecker(text, { findingsPerRule: Number.POSITIVE_INFINITY });
    const expected = checker
      .findings()
      .map(({ rule, span, message }) => ({ rule, message, range: lines.rangeOf(span) }));
    const rows = await collect(path);
    const found = rows.flatMap(({ findings, rangeOf }) =>
      findings.map(({ rule, span, message }) => ({ rule, message, range: rangeOf(span) })),
    );
    expect(found).toEqual(expected);
    expect(rows.filter(({ index }) => index !== undefined).length).toBe(checker.rowCount);
    expect(rows.every(({ format }) => format === checker.format)).toBe(true);
  });
});

describe.skipIf(!sharedData)("real datasets", () => {
  const files = sharedData
    ? readdirSync(join(sharedData, "sft")).filter((name) => name !== "dataset_info.json")
    : [];
  const formats: Record<string, [format: string, examples: boolean]> = {
    "alpaca_en_demo.json": ["alpaca", true],
    "alpaca_zh_demo.json": ["alpaca", true],
    "identity.json": ["alpaca", true],
    "c4_demo.jsonl": ["text", true],
    "glaive_toolcall_zh_demo.json": ["sharegpt", true],
    "v1_sft_demo.jsonl": ["messages", true],
    // Its content parts include reasoning and tool calls, which no chat template's `content` takes.
    "reason_tool_use_demo_50.jsonl": ["messages", false],
    "dpo_zh_demo.json": ["preference", false],
    "kto_en_demo.json": ["unpaired-preference", false],
  };

  it.each(files)("%s is recognised and has no findings", async (name) => {
    const path = join(sharedData ?? "", "sft", name);
    const checker = new DatasetChecker(readFileSync(path, "utf8"));
    expect(checker.findings()).toEqual([]);
    expect(checker.format).toBe(formats[name]?.[0]);
    const rows = await collect(path);
    expect(rows.flatMap(({ findings }) => findings)).toEqual([]);
    const read = rows.filter(({ index }) => index !== undefined);
    expect(read.length).toBe(checker.rowCount);
    expect(read.every(({ example }) => (example !== undefined) === formats[name]?.[1])).toBe(true);
  });

  it.each(["mt-bench/question.jsonl", "gsm8k/test.jsonl", "xcopa/test.zh.jsonl"])(
    "%s, of no training format, is left alone",
    (name) => {
      const checker = new DatasetChecker(readFileSync(join(sharedData ?? "", name), "utf8"));
      expect([checker.format, checker.findings()]).toEqual([undefined, []]);
    },
  );
});
