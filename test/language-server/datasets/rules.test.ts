import { describe, expect, it } from "vitest";
import { DatasetChecker, type DatasetCheckOptions } from "../../../language-server/src/datasets/check";
import type { Finding } from "../../../language-server/src/text/span";
import { annotated, applyFix, checkAnnotated } from "../annotated";

const check =
  (options?: DatasetCheckOptions) =>
  (text: string): Finding[] =>
    new DatasetChecker(text, options).findings();
const findingsOf = check();
/** The text after the fix of its only finding; nothing may then be wrong with it. */
const fixed = (text: string): string => {
  const [finding, ...more] = findingsOf(text);
  if (!finding || more.length > 0)
    throw new Error(`Expected one finding, found ${more.length + (finding ? 1 : 0)}.`);
  const repaired = applyFix(text, finding);
  expect(findingsOf(repaired)).toEqual([]);
  return repaired;
};

describe("good rows", () => {
  it.each([
    [
      "messages",
      '{"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    ],
    [
      "messages under another name",
      '{"conversation": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    ],
    [
      "tool calls",
      '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}, {"role": "tool", "content": ""}, {"role": "tool", "content": "2"}, {"role": "assistant", "content": "b"}], "tools": []}',
    ],
    [
      "content parts",
      '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}, {"role": "assistant", "content": "b"}]}',
    ],
    [
      "sharegpt",
      '{"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{}"}, {"from": "observation", "value": "{}"}, {"from": "gpt", "value": "b"}], "tools": "[]"}',
    ],
    ["alpaca", '{"instruction": "a", "input": "", "output": "b", "system": "", "history": [["c", "d"]]}'],
    ["alpaca without input", '{"instruction": "a", "output": "b", "input": null}'],
    ["prompt and completion", '{"prompt": "a", "completion": "b"}'],
    [
      "prompt and completion in messages",
      '{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]}',
    ],
    ["text", '{"text": "a", "url": "x"}'],
    ["preferences", '{"prompt": "a", "chosen": "b", "rejected": ""}'],
    ["unpaired preferences", '{"messages": [{"role": "user", "content": ""}], "label": false}'],
    ["no known format", '{"question": "", "answer": 3}'],
  ])("of %s have no findings, in lines and in an array", (_name, row) => {
    expect(findingsOf(`${row}\n${row}\n`)).toEqual([]);
    expect(findingsOf(`[\n${row},\n${row}\n]`)).toEqual([]);
  });
});

describe("unknown-role", () => {
  it("stands under the role and says which one is meant", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "usr", "content": "a"}, {"role": "asistant", "content": "b"}]}
                                ^^^ unknown-role: you mean
                                                                 ^^^^^^^^ unknown-role: you mean
        {"messages": [{"role": "", "content": "a"}, {"role": "assistant", "content": "b"}]}
                               ^^ unknown-role: use one of
        {"messages": [{"role": "User", "content": "a"}, {"role": "narrator", "content": "b"}]}
                                ^^^^ unknown-role: you mean
                                                                  ^^^^^^^^ unknown-role: use one of
      `,
      findingsOf,
    );
  });

  it.each([
    ["usr", "user"],
    ["User", "user"],
    ["human", "user"],
    ["gpt", "assistant"],
    ["bot", "assistant"],
    ["assistent", "assistant"],
    ["sytem", "system"],
    ["tools", "tool"],
  ])("replaces %s by %s in messages", (wrong, right) => {
    const finding = findingsOf(`{"messages": [{"role": "${wrong}", "content": "a"}]}`).find(
      ({ rule }) => rule === "unknown-role",
    );
    expect(finding?.fixes?.[0]?.edits[0]?.newText).toBe(right);
  });

  it("offers sharegpt's own names in sharegpt", () => {
    const row = '{"conversations": [{"from": "humman", "value": "a"}, {"from": "gpt", "value": "b"}]}';
    expect(fixed(row)).toBe(row.replace("humman", "human"));
    const model = '{"conversations": [{"from": "human", "value": "a"}, {"from": "model", "value": "b"}]}';
    expect(fixed(model)).toBe(model.replace("model", "gpt"));
  });
});

describe("order of turns", () => {
  it("role-alternation: at the turn that is out of turn", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]}
                                                                  ^^^^ role-alternation: Two user turns
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "assistant", "content": "c"}]}
                                                                                                         ^^^^^^^^^ role-alternation: Two assistant turns
        {"messages": [{"role": "assistant", "content": "a"}]}
                                ^^^^^^^^^ role-alternation: begins with an assistant turn
      `,
      findingsOf,
    );
  });

  it("system-not-first: also for a second system turn", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}, {"role": "assistant", "content": "c"}]}
                                                                  ^^^^^^ system-not-first
        {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}
                                                                    ^^^^^^ system-not-first
      `,
      findingsOf,
    );
  });

  it("last-turn-not-assistant: at the last turn's role", () => {
    checkAnnotated(
      annotated`
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]}
                                                                                                     ^^^^^ last-turn-not-assistant: ends with a user turn
        {"conversations": [{"from": "system", "value": "a"}]}
                                     ^^^^^^ last-turn-not-assistant
      `,
      findingsOf,
    );
  });
});

describe("empty-turn", () => {
  it("stands under the quotes between which there is nothing", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": " \n"}]}
                                                  ^^ empty-turn: user turn
                                                                                        ^^^^^ empty-turn: assistant turn
        {"messages": []}
                     ^^ empty-turn: no turns
      `,
      findingsOf,
    );
    checkAnnotated(
      '{"instruction": "", "input": " ", "output": ""}\n                ^^ empty-turn: both\n                                            ^^ empty-turn: output',
      findingsOf,
    );
    checkAnnotated('{"text": "  "}\n         ^^^^ empty-turn', findingsOf);
    checkAnnotated(
      '{"prompt": "a", "completion": ""}\n                              ^^ empty-turn',
      findingsOf,
    );
  });
});

describe("fields", () => {
  it("missing-field: at the field that was meant to be it, else at the brace of what lacks it", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "contents": "a"}, {"rol": "assistant", "content": "b"}, {"content": "c"}]}
                                        ^^^^^^^^ missing-field: did you mean it by
                                                           ^^^ missing-field: no ${"`role`"}
                                                                                               ^ missing-field: no ${"`role`"}
        {"mesages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
          ^^^^^^^ missing-field: no ${"`messages`"}
        {"id": 3}
        ^ missing-field: This row has no ${"`messages`"}
      `,
      findingsOf,
    );
    checkAnnotated(
      '{"instruction": "a", "outputs": "b"}\n                      ^^^^^^^ missing-field',
      findingsOf,
    );
  });

  it("missing-field: renames the misspelled field", () => {
    expect(fixed('{"instruction": "a", "ouput": "b"}')).toBe('{"instruction": "a", "output": "b"}');
    expect(fixed('{"promt": "a", "completion": "b"}')).toBe('{"prompt": "a", "completion": "b"}');
    expect(
      fixed('{"mesages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'),
    ).toContain('{"messages"');
  });

  it("wrong-value-type: under a scalar, or the bracket of what is no scalar", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "content": 12}, {"role": "assistant", "content": {"a": 1}}]}
                                                  ^^ wrong-value-type: must be a string, not a number
                                                                                        ^ wrong-value-type: not an object
        {"messages": [{"role": 1, "content": "a"}, "b", {"role": "assistant", "content": null}]}
                               ^ wrong-value-type: must be a string
                                                   ^^^ wrong-value-type: ${"`turn`"}
                                                                                         ^^^^ wrong-value-type: not null
        {"messages": "a"}
                     ^^^ wrong-value-type: a list of turns
        ["messages"]
        ^ wrong-value-type: ${"`row`"} must be an object
        3
        ^ wrong-value-type: ${"`row`"} must be an object
      `,
      findingsOf,
    );
    checkAnnotated(
      annotated`
        {"instruction": "a", "output": true, "history": [["a"], "b", ["c", 4]]}
                                       ^^^^ wrong-value-type: ${"`output`"}
                                                         ^ wrong-value-type: a question and an answer
                                                                ^^^ wrong-value-type: a list of pairs
                                                                           ^ wrong-value-type: a string
      `,
      findingsOf,
    );
  });

  it("wrong-value-type: puts numbers in quotes", () => {
    expect(fixed('{"instruction": "a", "output": 12}')).toBe('{"instruction": "a", "output": "12"}');
  });

  it("inconsistent-fields: at the field that tells of another format", () => {
    checkAnnotated(
      annotated`
        {"instruction": "a", "output": "b"}
        {"instruction": "a", "output": "b"}
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
          ^^^^^^^^^^^^^ inconsistent-fields: in the sharegpt format
        {"text": "a"}
          ^^^^ inconsistent-fields: in the text format
      `,
      findingsOf,
    );
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
        {"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
                        ^^^^ inconsistent-fields: sharegpt
      `,
      findingsOf,
    );
  });

  it("inconsistent-fields: at a value whose column has another type", () => {
    checkAnnotated(
      annotated`
        {"text": "a", "id": 1}
        {"text": "a", "id": 2.5, "extra": "x"}
        {"text": "a", "id": "3"}
                            ^^^ inconsistent-fields: a string here and a number
        {"text": "a", "id": null, "extra": [1]}
                                           ^ inconsistent-fields: a list here and a string
      `,
      findingsOf,
    );
  });

  it("goes by the config's format where one is given", () => {
    checkAnnotated('{"text": "a"}\n  ^^^^ inconsistent-fields: text format', check({ format: "alpaca" }));
    checkAnnotated('{"question": "a"}\n^ missing-field: `text`', check({ format: "text" }));
  });
});

describe("broken rows", () => {
  it("are told of once, and judged no further", () => {
    checkAnnotated(
      annotated`
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
        {"messages": [{"role": "usr", "content": ""}, {"role": "assis
                                                                    ^ json-syntax: not closed
        {"messages": [{"role": "usr", "content": "a"}, {"role": "assistant", "content": "b"}]}
                                ^^^ unknown-role
      `,
      findingsOf,
    );
  });
});

describe("many findings of one rule", () => {
  const text = '{"text": ""}\n'.repeat(500);

  it("are summarised in the one after the last that is given", () => {
    const findings = findingsOf(text);
    expect(findings.length).toBe(101);
    expect(findings[100]?.message).toContain("And 399 more");
  });

  it("are all given when all are wanted", () => {
    expect(check({ findingsPerRule: Number.POSITIVE_INFINITY })(text).length).toBe(500);
    expect(
      findingsOf('{"text": ""}\n'.repeat(101)).every(({ message }) => !message.includes("more of")),
    ).toBe(true);
  });
});
