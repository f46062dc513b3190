/** Prompts become tokens in batches; each that cannot is named, and it can be cancelled. */
import { resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { loadBuiltInTemplate } from "../../../../language-server/src/templates/template";
import { loadTokenizer } from "../../../../language-server/src/tokenizers/tokenizer";
import type { AnsweringModel } from "../../../../language-server/src/training/generation/answering-model";
import { encodePrompts } from "../../../../language-server/src/training/generation/encode-prompts";
import { parsePrompts } from "../../../../language-server/src/training/generation/prompts";

let model: AnsweringModel;
beforeAll(async () => {
  model = {
    name: "zh-1",
    engineArguments: [],
    tokenizer: await loadTokenizer(resolve(__dirname, "../../../../examples/traditional-chinese/tokenizer")),
    template: loadBuiltInTemplate("bailong"),
    templateLeftOut: false,
    textIs: "turn",
    beginsAs: "row",
    longest: 64,
    stopIds: [],
  };
});

const hooks = () => ({ report: () => {}, signal: new AbortController().signal });
const fileOf = (lines: readonly unknown[]) =>
  parsePrompts(Buffer.from(lines.map((line) => JSON.stringify(line)).join("\n")), "prompts.jsonl");
const turns = [{ role: "user", content: "一" }];

test("texts and conversations of several batches keep their order", async () => {
  const lines = Array.from({ length: 150 }, (_, n) => ({ prompt: n % 3 === 0 ? turns : `第 ${n} 句` }));
  const together = await encodePrompts(fileOf(lines), { ...model, textIs: "beginning" }, hooks());
  for (const n of [0, 1, 63, 64, 128, 149]) {
    const [alone] = await encodePrompts(fileOf([lines[n]]), { ...model, textIs: "beginning" }, hooks());
    expect(together[n]).toEqual(alone);
  }
  expect(together.filter(({ isTurn }) => isTurn)).toHaveLength(50);
});

test("cancelled, it ends before the next batch", async () => {
  const file = fileOf(Array.from({ length: 1000 }, (_, n) => ({ prompt: `第 ${n} 句` })));
  const controller = new AbortController();
  let reports = 0;
  const report = () => {
    reports++;
    controller.abort();
  };
  await expect(encodePrompts(file, model, { report, signal: controller.signal })).rejects.toThrow(/aborted/);
  expect(reports).toBe(1);
});

test.each([
  [false, /zh-1 has no chat template to put it by/],
  [true, /the chat template, which would put it, is left out/],
])("a conversation without a template is refused for the true reason", async (templateLeftOut, why) => {
  const bare: AnsweringModel = { ...model, template: null, textIs: "beginning", templateLeftOut };
  await expect(encodePrompts(fileOf([{ prompt: turns }]), bare, hooks())).rejects.toThrow(why);
});
