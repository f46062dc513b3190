import { describe, expect, test } from "vitest";
import { applyFix, checkAnnotated } from "../annotated";
import { check, checkRepaired } from "./check";

const pretrain = "stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n";
const sft = "stage: sft\nmodel_name_or_path: base\nchat_template_path: bailong\ndataset: chat.jsonl\n";
const marked = (config: string, lines: string) => checkAnnotated(config + lines, check);
const repaired = (config: string, lines: string) => checkRepaired(config + lines).slice(config.length);

test("configs without a mistake have no findings", () => {
  expect(check(pretrain)).toEqual([]);
  expect(check(sft)).toEqual([]);
});

describe("unknown-key", () => {
  test("suggests the key that was probably meant", () => {
    const lines = "learnig_rate: 1e-4\n^^^^^^^^^^^^ unknown-key: Did you mean `learning_rate`?\n";
    expect(repaired(pretrain, lines)).toBe("learning_rate: 1e-4\n");
  });
  test("sees through another spelling", () => {
    expect(repaired(pretrain, "maxLength: 5\n^^^^^^^^^ unknown-key: `max_length`\n")).toBe("max_length: 5\n");
  });
  test("translates the keys of other programs", () => {
    expect(repaired(pretrain, "cutoff_len: 512\n^^^^^^^^^^ unknown-key: Here it is `max_length`\n")).toBe(
      "max_length: 512\n",
    );
  });
  test("knows whose key it is when we do not read it", () => {
    const lines =
      "bf16: true # half\n^^^^ unknown-key: a key of HF TrainingArguments that Ziptie does not read\n";
    expect(repaired(pretrain, lines)).toBe("");
  });
  test("looks into nested mappings", () => {
    marked(
      sft,
      "eval_dataset:\n  - path: chat.jsonl\n    wieght: 2\n    ^^^^^^ unknown-key: Did you mean `weight`?\n",
    );
    marked(
      pretrain,
      "rules: { unkown-key: off }\n         ^^^^^^^^^^ unknown-key: Did you mean `unknown-key`?\n",
    );
  });
  test("is not fooled by names that every object has", () => {
    marked(pretrain, "__proto__: 1\n^^^^^^^^^ unknown-key\nconstructor: 1\n^^^^^^^^^^^ unknown-key\n");
  });
});

describe("types, values and ranges", () => {
  test("a number in quotes", () => {
    const lines = 'learning_rate: "1e-4"\n               ^^^^^^ yaml-float-string\n';
    expect(repaired(pretrain, lines)).toBe("learning_rate: 1e-4\n");
  });
  test("1e-4 is a number, as YAML 1.2 says", () => {
    expect(check(`${pretrain}learning_rate: 1e-4\nadam_epsilon: 1E-8\n`)).toEqual([]);
  });
  test("YAML 1.1's booleans", () => {
    expect(repaired(pretrain, "use_peft: yes\n          ^^^ wrong-value-type\n")).toBe("use_peft: true\n");
  });
  test("a key without a value", () => {
    marked(pretrain, "max_length:\n^^^^^^^^^^ wrong-value-type: this is nothing\n");
  });
  test("null where HF means none", () => {
    expect(check(`${pretrain}save_total_limit: null\n`)).toEqual([]);
  });
  test("a list where a mapping belongs", () => {
    marked(
      pretrain,
      "lr_scheduler_kwargs: [0.1]\n                     ^^^^^ wrong-value-type: a mapping of keys\n",
    );
  });
  test("a value that is not among those allowed", () => {
    expect(
      repaired(pretrain, "truncation: cutt\n            ^^^^ unknown-value: Did you mean `cut`?\n"),
    ).toBe("truncation: cut\n");
  });
  test("a misspelt stage, and nothing that another stage would need", () => {
    checkAnnotated(
      "stage: vocabluary\n       ^^^^^^^^^^ unknown-value: Did you mean `vocabulary`?\nscripts: [Han]\ndataset: rows.jsonl\n",
      check,
    );
  });
  test("an item of a list", () => {
    const lines =
      "use_peft: true\nlora_target_modules: [q_proj, v_prj]\n                              ^^^^^ unknown-value: `v_proj`\n";
    marked(pretrain, lines);
  });
  test.each([
    ["max_length: 0", "0", "at least 1"],
    ["lora_dropout: 1", "1", "less than 1"],
    ["learning_rate: 0", "0", "more than 0"],
    ["max_steps: 0", "0", "trains nothing"],
    ["eval_steps: 1.5", "1.5", "a whole number of steps, or a share"],
  ])("%s", (line, value, message) => {
    const config = `${pretrain}use_peft: true\neval_dataset: rows.jsonl\neval_strategy: steps\n`;
    const finding = check(`${config}${line}\n`)[0];
    expect(finding).toMatchObject({ rule: "value-out-of-range", message: expect.stringContaining(message) });
    expect(`${config}${line}\n`.slice(finding?.span.start, finding?.span.end)).toBe(value);
  });
  test("a whole number where one belongs", () => {
    marked(pretrain, "max_length: 10.5\n            ^^^^ wrong-value-type: a whole number\n");
  });
  test("one mistake does not hide the others", () => {
    const rules = check(`${pretrain}max_length: 0\nlora_r: 4\nchat_template_path: nope\n`).map(
      ({ rule }) => rule,
    );
    expect(rules).toEqual(
      expect.arrayContaining(["value-out-of-range", "incompatible-options", "path-not-found"]),
    );
  });
});

describe("what a config needs", () => {
  test("an empty file", () => {
    expect(check("")).toMatchObject([{ rule: "missing-key", message: expect.stringContaining("is empty") }]);
    expect(check("# nothing yet\n")).toMatchObject([{ rule: "missing-key" }]);
  });
  test("stage and dataset", () => {
    const messages = check("seed: 1\nmodel_name_or_path: base\n").map(({ message }) => message);
    expect(messages).toEqual(["A training config needs `stage`.", "A training config needs `dataset`."]);
  });
  test("a model", () => {
    checkAnnotated(
      "stage: pretrain\n^^^^^ missing-key: `model_name_or_path`, or `model`\ndataset: rows.jsonl\n",
      check,
    );
  });
  test("a tokenizer beside random weights", () => {
    const model =
      "model: { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 2 }";
    checkAnnotated(
      `stage: pretrain\n${model}\n^^^^^ missing-key: tokenizer_name_or_path\ndataset: rows.jsonl\n`,
      check,
    );
    expect(
      check(`stage: pretrain\n${model}\ntokenizer_name_or_path: tok\nmax_length: 512\ndataset: rows.jsonl\n`),
    ).toEqual([]);
  });
  test("a chat template for sft, unless the tokenizer carries one", () => {
    const config = "stage: sft\nmodel_name_or_path: base\ndataset: chat.jsonl\n";
    checkAnnotated(config.replace("\n", "\n^^^^^ missing-key: needs `chat_template_path`\n"), check);
    expect(check(`${config}tokenizer_name_or_path: tok\n`)).toEqual([]);
  });
});

describe("incompatible-options", () => {
  test.each([
    [pretrain, "max_steps: 10\nnum_train_epochs: 2\n^^^^^^^^^^^^^^^^ incompatible-options: ignored\n"],
    [pretrain, "warmup_steps: 10\nwarmup_ratio: 0.1\n^^^^^^^^^^^^ incompatible-options: ignored\n"],
    [pretrain, "lora_r: 8\n^^^^^^ incompatible-options: Without `use_peft: true`\n"],
    [pretrain, "bnb_4bit_quant_type: nf4\n^^^^^^^^^^^^^^^^^^^ incompatible-options: nothing is quantised\n"],
    [
      pretrain,
      "lr_scheduler_type: constant\nwarmup_steps: 5\n^^^^^^^^^^^^ incompatible-options: constant_with_warmup\n",
    ],
    [
      pretrain,
      "lr_scheduler_kwargs: { min_lr_rate: 0.1 }\n^^^^^^^^^^^^^^^^^^^ incompatible-options: no floor\n",
    ],
    [pretrain, "eval_steps: 5\n^^^^^^^^^^ incompatible-options: ignored\n"],
    [pretrain, "save_strategy: epoch\nsave_steps: 5\n^^^^^^^^^^ incompatible-options: ignored\n"],
    [pretrain, "chat_template_path: bailong\n^^^^^^^^^^^^^^^^^^ incompatible-options: plain text\n"],
  ])("%s%s", (config, lines) => {
    repaired(config, lines);
  });
  test("heads that do not divide", () => {
    const config =
      "stage: pretrain\ntokenizer_name_or_path: tok\ndataset: rows.jsonl\nmax_length: 8\nmodel:\n";
    marked(
      config,
      "  hidden_size: 10\n  intermediate_size: 8\n  num_hidden_layers: 1\n  num_attention_heads: 4\n                       ^ incompatible-options: must divide `hidden_size`\n",
    );
  });
  test("a floor that is missing", () => {
    marked(pretrain, "lr_scheduler_type: cosine_with_min_lr\n^^^^^^^^^^^^^^^^^ missing-key: min_lr_rate\n");
  });
  test("evaluation without data", () => {
    marked(pretrain, "eval_strategy: steps\n^^^^^^^^^^^^^ missing-key: eval_dataset\n");
    marked(pretrain, "eval_on_start: true\n^^^^^^^^^^^^^ missing-key: eval_dataset\n");
  });
  test("a format that the stage does not train on", () => {
    checkAnnotated(
      "stage: pretrain\nmodel_name_or_path: base\ndataset: { path: rows.jsonl, format: messages }\n                                     ^^^^^^^^ incompatible-options: trains on text\n",
      check,
    );
  });
});

describe("warm-up", () => {
  test("a share as steps", () => {
    expect(repaired(pretrain, "warmup_steps: 0.03\n              ^^^^ warmup-unit: `warmup_ratio`\n")).toBe(
      "warmup_ratio: 0.03\n",
    );
  });
  test("steps as a share", () => {
    expect(repaired(pretrain, "warmup_ratio: 100\n              ^^^ warmup-unit: `warmup_steps`\n")).toBe(
      "warmup_steps: 100\n",
    );
  });
  test("that never ends", () => {
    marked(
      pretrain,
      "max_steps: 10\nwarmup_steps: 10\n              ^^ warmup-zero-step: never reaches its peak\n",
    );
  });
});

describe("not-yet-runnable", () => {
  test.each([
    ["optim: paged_adamw_32bit", "optim: adamw_torch"],
    [
      "use_peft: true\nload_in_4bit: true\nbnb_4bit_quant_type: fp4",
      "use_peft: true\nload_in_4bit: true\nbnb_4bit_quant_type: nf4",
    ],
    ["device: cuda", "device: auto"],
    ["lr_scheduler_type: polynomial", "lr_scheduler_type: cosine"],
    ["judge: { bench: b.jsonl }", ""],
  ])("%s", (line, after) => {
    const text = `${pretrain}${line}\n`;
    const [finding, ...others] = check(text);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      rule: "not-yet-runnable",
      message: expect.stringContaining("The engine cannot carry out"),
    });
    const repair = finding ? applyFix(text, finding) : text;
    expect(repair).toBe(after ? `${pretrain}${after}\n` : pretrain);
    expect(check(repair)).toEqual([]);
  });
  test.each([
    "packing: true",
    "group_by_length: true",
    "device: cpu",
    "gradient_checkpointing: true",
    "gradient_checkpointing: selective",
    "optim: paged_adamw_8bit",
    "use_peft: true\nload_in_4bit: true\nlora_target_modules: [q_proj, embed_tokens, lm_head]",
    "use_peft: true\nlora_modules_to_save: [norm]\ndtype: bfloat16",
  ])("%s runs", (lines) => {
    expect(check(`${pretrain}${lines}\n`)).toEqual([]);
  });
});

describe("path-not-found", () => {
  test("suggests a name beside it", () => {
    const config = "stage: pretrain\nmodel_name_or_path: base\n";
    expect(
      repaired(config, "dataset: row.jsonl\n         ^^^^^^^^^ path-not-found: Did you mean `rows.jsonl`?\n"),
    ).toBe("dataset: rows.jsonl\n");
  });
  test.each([
    ["model_name_or_path: nope", "nope", "is not there"],
    ["model_name_or_path: meta-llama/Llama-2-7b", "meta-llama/Llama-2-7b", "Hugging Face Hub"],
    ["model_name_or_path: tok", "tok", "config.json"],
    ["model_name_or_path: rows.jsonl", "rows.jsonl", "is a file"],
    ["model_name_or_path: bare", "bare", "tokenizer.json"],
    ["model_name_or_path: a.ziptie.yaml", "a.ziptie.yaml", "that it makes itself"],
    ["model_name_or_path: gone.ziptie.yaml", "gone.ziptie.yaml", "is not there"],
    ["model_name_or_path: base\ntokenizer_name_or_path: bare", "bare", "tokenizer.json"],
    ["model_name_or_path: base\neval_dataset: base", "base", "is a folder"],
  ])("%s", (lines, value, message) => {
    const text = `stage: pretrain\n${lines}\ndataset: rows.jsonl\n`;
    const findings = check(text);
    expect(findings).toMatchObject([{ rule: "path-not-found", message: expect.stringContaining(message) }]);
    expect(text.slice(findings[0]?.span.start, findings[0]?.span.end)).toBe(value);
  });
  test("a built-in template's name", () => {
    const config = sft.replace("chat_template_path: bailong\n", "");
    expect(
      repaired(
        config,
        "chat_template_path: bailon\n                    ^^^^^^ path-not-found: built in: `bailong`\n",
      ),
    ).toBe("chat_template_path: bailong\n");
  });
  test("a template that does not parse is said where it is named", () => {
    const config = sft.replace("chat_template_path: bailong\n", "");
    marked(
      config,
      "chat_template_path: broken.jinja\n                    ^^^^^^^^^^^^ template-syntax: broken.jinja:1:\n",
    );
  });
  test("another config stands for the model of its newest run", () => {
    expect(check(pretrain.replace("base", "other.ziptie.yaml"))).toEqual([]);
  });
});

describe("YAML", () => {
  test("a key twice", () => {
    expect(repaired(pretrain, "seed: 1\nseed: 2\n^^^^ duplicate-key\n")).toBe("seed: 1\n");
  });
  test("tabs", () => {
    expect(check("model:\n\thidden_size: 1\n")[0]).toMatchObject({ rule: "yaml-syntax" });
  });
  test("a second document", () => {
    expect(check(`${pretrain}---\nstage: sft\n`)).toMatchObject([
      { rule: "yaml-syntax", message: expect.stringContaining("second one") },
    ]);
  });
  test("a document that is no mapping", () => {
    expect(check("- stage: sft\n")).toMatchObject([{ rule: "wrong-value-type" }]);
    expect(check("sft")).toMatchObject([{ rule: "wrong-value-type" }]);
  });
  test("an anchor that is not there", () => {
    expect(check("stage: *s\n")[0]).toMatchObject({ rule: "yaml-syntax" });
  });
  test("aliases stand for what they name", () => {
    expect(
      check("stage: pretrain\nmodel_name_or_path: base\ndataset: &d rows.jsonl\neval_dataset: *d\n"),
    ).toEqual([]);
  });
  test("Windows line ends", () => {
    checkAnnotated(`${pretrain}sede: 1\n^^^^ unknown-key\n`, check, "\r\n");
  });
});
