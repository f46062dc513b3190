/** Prompts as people have them: rows, conversations, lines. */
import { describe, expect, test } from "vitest";
import { parsePrompts } from "../../../../language-server/src/training/generation/prompts";

const parse = (text: string, name = "prompts.jsonl") => parsePrompts(Buffer.from(text), name);
const read = (text: string, name?: string) =>
  parse(text, name).prompts.map(({ id, content }) => [
    id,
    typeof content === "string" ? content : content.turns.map((turn) => `${turn.role}: ${turn.content}`),
  ]);
const rows = (...lines: unknown[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

describe("prompts in rows", () => {
  test("with ids or without, texts and turns", () => {
    const text = rows(
      { prompt: "a" },
      { id: "q7", prompt: "b" },
      { prompt: [{ role: "system", content: "short" }, user("c")] },
      { messages: [user("d")] },
    );
    expect(read(text)).toEqual([
      [1, "a"],
      ["q7", "b"],
      [3, ["system: short", "user: c"]],
      [4, ["user: d"]],
    ]);
  });

  test("rows of datasets are asked anew: the answer that is there is left out", () => {
    const text = rows(
      { messages: [user("a"), assistant("b"), user("c"), assistant("d")] },
      { conversations: [{ from: "human", value: "e" }, { from: "gpt", value: "f" }] }, // biome-ignore format: one row
      { instruction: "g", input: "h", output: "i" },
      { prompt: "j", completion: "k" },
    );
    expect(read(text)).toEqual([
      [1, ["user: a", "assistant: b", "user: c"]],
      [2, ["user: e"]],
      [3, ["user: g\nh"]],
      [4, "j"],
    ]);
  });

  test("alpaca's without an output are prompts, too", () => {
    const text = rows({ instruction: "a", input: "b" }, { instruction: "c", system: "short", output: "" });
    expect(read(text)).toEqual([
      [1, ["user: a\nb"]],
      [2, ["system: short", "user: c"]],
    ]);
    expect(() => parse(rows({ instruction: "a", output: 7 }, { instruction: 8 }))).toThrow(
      /^prompts\.jsonl:2:/,
    );
  });

  test("those without an id keep out of the way of those with one", () => {
    const text = rows({ id: 2, prompt: "a" }, { prompt: "b" }, { prompt: "c" }, { id: 6, prompt: "d" });
    expect(read(text).map(([id]) => id)).toEqual([2, 10, 3, 6]);
  });

  test("tools and calls to them go along", () => {
    const tools = [{ type: "function", function: { name: "f" } }];
    const calls = [{ type: "function", function: { name: "f", arguments: {} } }];
    const turns = [user("a"), { role: "assistant", tool_calls: calls }, { role: "tool", content: "b" }];
    const { prompts } = parse(rows({ prompt: turns, tools }, { messages: turns, tools }));
    for (const { content } of prompts) {
      if (typeof content === "string") throw new Error(content);
      expect(content.tools).toEqual(tools);
      expect(content.turns[1]?.toolCalls).toEqual(calls);
    }
  });

  test("an array that is cut off may lack some, and is refused", () => {
    expect(() => parse('[{"prompt": "a"},\n{"prompt": "b"}', "prompts.json")).toThrow(
      "prompts.json:2:15: The file ends here; `]` is missing.",
    );
    expect(() => parse('[{"prompt": "a"}]\n{"prompt": "b"}', "prompts.json")).toThrow(
      "prompts.json:2:1: The array is closed; nothing may follow it.",
    );
  });

  test("an array of them, whatever the file is called", () => {
    expect(read(JSON.stringify([{ prompt: "a" }, { prompt: "b" }]), "standard input")).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  test("each line that holds none is told with its place", () => {
    const text = `${rows({ id: "q", prompt: "a" }, { text: "b" })}{"prompt": \n${rows(
      { prompt: 7 },
      { messages: [assistant("b")] },
      { messages: [{ role: "usr", content: "c" }] },
      { id: "q", prompt: "again" },
      { id: [], prompt: "d" },
    )}"e"\n`;
    let message = "";
    try {
      parse(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message.split("\n")).toEqual([
      expect.stringMatching(/^prompts\.jsonl:2:1: There is no prompt here; a line is `\{"prompt": "…"\}`/),
      expect.stringMatching(/^prompts\.jsonl:3:\d+: /),
      "prompts.jsonl:4:11: A `prompt` is a text, or a list of turns.",
      "prompts.jsonl:5:1: This conversation has no turn that could be answered.",
      expect.stringMatching(/^prompts\.jsonl:6:\d+: `usr` is not a role; did you mean `user`\?/),
      expect.stringMatching(/^prompts\.jsonl:7:1: The id "q" is that of an earlier prompt/),
      "prompts.jsonl:8:1: An `id` is a string or a number.",
      expect.stringMatching(/^prompts\.jsonl:9:1: This is no prompt/),
    ]);
  });
});

describe("prompts in a text", () => {
  test("each line is one; blank ones are none", () => {
    expect(read("\ufeffone\r\n\n  two \n三\n", "prompts.txt")).toEqual([
      [1, "one"],
      [2, "  two "],
      [3, "三"],
    ]);
  });
  test("a text stays one although it begins as JSON does", () => {
    expect(read('{"prompt": "a"}\n', "prompts.txt")).toEqual([[1, '{"prompt": "a"}']]);
    expect(read("[INST] hi [/INST]\n", "standard input")).toEqual([[1, "[INST] hi [/INST]"]]);
  });
  test("nothing but blank lines is refused, and what is not UTF-8", () => {
    expect(() => parse("\n \n", "prompts.txt")).toThrow("There is no prompt in prompts.txt.");
    expect(() => parsePrompts(Buffer.from([0x61, 0xff]), "prompts.txt")).toThrow(/not UTF-8/);
  });
});
