import { describe, expect, it } from "vitest";
import { runnableConfig, runnableVocabulary } from "../../../language-server/src/rules/config-rules";
import { checkAnnotated } from "../annotated";
import { check, checkRepaired, project } from "./check";

const path = "/p/a.ziptie.yaml";
const whole = "stage: vocabulary\ntokenizer_name_or_path: tok\nscripts: [Han]\ndataset: rows.jsonl\n";

it("is resolved to a plan of its own", () => {
  const text = `${whole}eval_dataset:\n  - path: chat.jsonl\n    sample: 7\nvocab_size: 5000\n`;
  expect(runnableVocabulary(text, path, project)).toEqual({
    plan: {
      config: path,
      name: "a",
      tokenizer: "/p/tok",
      dataset: [{ path: "/p/rows.jsonl", sample: null }],
      evaluation: [{ path: "/p/chat.jsonl", sample: 7 }],
      check: [],
      scripts: ["Han"],
      vocab_size: 5000,
      min_frequency: 2,
      character_coverage: 0.9995,
      max_token_length: 16,
      split_digits: true,
      zip_tie_weights: "mean",
      output_dir: "/p/runs",
    },
  });
});

it("has no training plan", () => {
  expect(check(whole)).toEqual([]);
  expect(runnableConfig(whole, path, project)).toMatchObject({
    refused: "A config of `stage: vocabulary` trains no model, so there is no training plan.",
  });
});

it("takes the model's tokenizer and a folder of texts", () => {
  const text = "stage: vocabulary\nmodel_name_or_path: base\nscripts: [Thai]\ndataset: base\n";
  expect(runnableVocabulary(text, path, project)).toMatchObject({ plan: { tokenizer: "/p/base" } });
});

describe("what is missing or does not go together", () => {
  it.each([
    `
stage: vocabulary
^^^^^ missing-key
tokenizer_name_or_path: tok
dataset: rows.jsonl
`,
    `
stage: vocabulary
^^^^^ missing-key
scripts: [Han]
dataset: rows.jsonl
`,
    `
stage: vocabulary
tokenizer_name_or_path: tok
scripts: [Latin]
          ^^^^^ unknown-value
dataset: rows.jsonl
`,
    `
stage: vocabulary
tokenizer_name_or_path: tok
scripts: [Han]
dataset: rows.jsonl
check_dataset: english.txt
               ^^^^^^^^^^^ path-not-found
character_coverage: 99.95
                    ^^^^^ value-out-of-range
`,
    `
stage: vocabulary
tokenizer_name_or_path: tok
scripts: [Han]
dataset:
  - path: rows.jsonl
    weight: 2
            ^ incompatible-options
`,
  ])("%s", (source) => {
    checkAnnotated(source.trimStart(), check);
  });

  it("a vocabulary's keys in another stage", () => {
    const source = `stage: pretrain
model_name_or_path: base
dataset: rows.jsonl
scripts: [Han]
^^^^^^^ incompatible-options
`;
    expect(checkRepaired(source)).toBe("stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n");
  });
});
