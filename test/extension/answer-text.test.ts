import { expect, test } from "vitest";
import { answerText } from "../../extension/src/generation/answer-text";
import type { GenerationEvent } from "../../language-server/src/protocol";

const answer = { prompt: "q", answer: "a", tokens: 1 };
const page = (events: GenerationEvent[]) => events.map(answerText).join("");

test("prompts are quoted, and each answer is a paragraph of its own, whether it is whole, cut or broken off", () => {
  expect(
    page([
      { event: "begin", prompts: 3, about: "sft-1" },
      { event: "prompt", id: 1, prompt: [{ role: "user", content: "one\ntwo" }] },
      { event: "text", text: "first" },
      { event: "answer", id: 1, finish: "length", ...answer },
      { event: "prompt", id: 2, prompt: "q" },
      { event: "text", text: "sec" },
      { event: "broken_off", id: 2 },
      { event: "prompt", id: 3, prompt: "q" },
      { event: "text", text: "third" },
      { event: "answer", id: 3, finish: "stop", ...answer },
    ]),
  ).toBe("*sft-1*\n\n> one\n> two\n\nfirst …\n\n> q\n\nsec …\n\n> q\n\nthird\n\n");
});
