import { describe, expect, test } from "vitest";
import { applyFix, checkAnnotated } from "../annotated";
import { check, filesOf, project } from "./check";

const pretrain = (model: string) => `stage: pretrain\nmodel_name_or_path: ${model}\ndataset: rows.jsonl\n`;

/** Checks annotated lines, then what the first fix makes of them, which has no finding any more. */
function repaired(config: string, lines: string): string {
  const { text } = checkAnnotated(config + lines, check);
  const [finding] = check(text);
  if (!finding) throw new Error("There is nothing to repair.");
  const after = applyFix(text, finding);
  expect(check(after)).toEqual([]);
  return after.slice(config.length);
}

describe("adapters", () => {
  test("4 bits need one", () => {
    expect(
      repaired(
        pretrain("base"),
        "load_in_4bit: true\n^^^^^^^^^^^^ incompatible-options: cannot be trained\n",
      ),
    ).toBe("use_peft: true\nload_in_4bit: true\n");
  });
  test("a module has one or is trained whole", () => {
    checkAnnotated(
      `${pretrain("base")}use_peft: true\nlora_target_modules: [q_proj, lm_head]\nlora_modules_to_save: [embed_tokens, lm_head]\n                                     ^^^^^^^ incompatible-options: or is trained whole, not both\n`,
      check,
    );
  });
  test("a module is named once", () => {
    checkAnnotated(
      `${pretrain("base")}use_peft: true\nlora_target_modules: [q_proj, q_proj]\n                     ^^^^^^^^^^^^^^^^ value-out-of-range: names a module twice\n`,
      check,
    );
  });
  test("an embedding's rate needs an embedding that is trained", () => {
    const lines = "use_peft: true\nembedding_learning_rate: 1e-5\n";
    checkAnnotated(
      `${pretrain("base")}${lines}^^^^^^^^^^^^^^^^^^^^^^^ incompatible-options: is ignored\n`,
      check,
    );
    expect(check(`${pretrain("base")}${lines}lora_target_modules: [lm_head]\n`)).toEqual([]);
    expect(check(`${pretrain("base")}${lines}lora_modules_to_save: [embed_tokens]\n`)).toEqual([]);
    expect(check(`${pretrain("base")}embedding_learning_rate: 1e-5\n`)).toEqual([]);
  });
  test("the type of frozen weights matters only where some are frozen", () => {
    expect(repaired(pretrain("base"), "dtype: bfloat16\n^^^^^ incompatible-options: is ignored\n")).toBe("");
  });
  test("older names are translated", () => {
    const lines = "use_peft: true\ntorch_dtype: bfloat16\n^^^^^^^^^^^ unknown-key: Here it is `dtype`\n";
    expect(repaired(pretrain("base"), lines)).toBe("use_peft: true\ndtype: bfloat16\n");
  });
  test("a rank beyond any weight's", () => {
    checkAnnotated(
      `${pretrain("base")}use_peft: true\nlora_r: 20000\n        ^^^^^ value-out-of-range: at most 16384\n`,
      check,
    );
  });
});

describe("tied-embeddings-adapted", () => {
  const adapted = `${pretrain("tied")}use_peft: true\n`;
  test("one end named trains both", () => {
    const lines =
      "lora_target_modules: [q_proj, lm_head]\n                              ^^^^^^^ tied-embeddings-adapted: `embed_tokens` is trained with `lm_head`\n";
    expect(repaired(adapted, lines)).toBe("lora_target_modules: [q_proj, lm_head, embed_tokens]\n");
  });
  test("in a list of lines", () => {
    const lines =
      "lora_modules_to_save:\n  - embed_tokens\n    ^^^^^^^^^^^^ tied-embeddings-adapted: Name both\n  - norm\n";
    expect(repaired(adapted, lines)).toBe("lora_modules_to_save:\n  - embed_tokens\n  - lm_head\n  - norm\n");
  });
  test("an adapter at one end and the other end whole", () => {
    checkAnnotated(
      `${adapted}lora_target_modules: [lm_head]\nlora_modules_to_save: [embed_tokens]\n                       ^^^^^^^^^^^^ incompatible-options: one matrix\n`,
      check,
    );
  });
  test("both ends, neither, or an untied model", () => {
    expect(check(`${adapted}lora_target_modules: [embed_tokens, lm_head]\n`)).toEqual([]);
    expect(check(adapted)).toEqual([]);
    expect(check(`${pretrain("small")}use_peft: true\nlora_target_modules: [lm_head]\n`)).toEqual([]);
  });
  test("in a model that the config describes", () => {
    const model =
      "model: { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, tie_word_embeddings: true }\ntokenizer_name_or_path: tok";
    const text = `stage: pretrain\n${model}\ndataset: rows.jsonl\nuse_peft: true\nlora_target_modules: [lm_head]\n`;
    expect(check(text)).toMatchObject([{ rule: "tied-embeddings-adapted" }]);
  });
});

describe("tokenizer-model-vocab", () => {
  const grown = `${pretrain("small")}tokenizer_name_or_path: grown\n`;
  test("says how many tokens have no row", () => {
    checkAnnotated(
      `${grown}                        ^^^^^ tokenizer-model-vocab: has 3 tokens, the embedding of \`small\` 2 rows: 1 tokens\n`,
      check,
    );
  });
  test("is settled by embedding_init", () => {
    for (const init of ["random", "mean", "zip-tie"]) {
      expect(check(`${grown}embedding_init: ${init}\n`)).toEqual([]);
    }
  });
  test("embedding_init where every token has a row", () => {
    const lines = "embedding_init: mean\n^^^^^^^^^^^^^^ incompatible-options: has a row for each\n";
    expect(repaired(pretrain("small"), lines)).toBe("");
  });
  test("embedding_init where new tokens take rows that the model's own tokenizer leaves unused", () => {
    const padded = `${pretrain("padded")}tokenizer_name_or_path: grown\n`;
    expect(check(padded)).toEqual([]);
    expect(check(`${padded}embedding_init: zip-tie\n`)).toEqual([]);
    const gone =
      "embedding_init: zip-tie\nembedding_init_map: gone.json\n                    ^^^^^^^^^ path-not-found: zip-tie map\n";
    checkAnnotated(padded + gone, check);
    const lines = "embedding_init: mean\n^^^^^^^^^^^^^^ incompatible-options: has a row for each\n";
    expect(repaired(pretrain("padded"), lines)).toBe("");
  });
  test("the zip-tie map must be there", () => {
    const lines =
      "embedding_init: zip-tie\nembedding_init_map: gone.json\n                    ^^^^^^^^^ path-not-found: zip-tie map\n";
    checkAnnotated(grown + lines, check);
  });
  test("a map that nothing reads", () => {
    const lines =
      "embedding_init: mean\nembedding_init_map: m.json\n^^^^^^^^^^^^^^^^^^ incompatible-options: is ignored\n";
    expect(repaired(grown, lines)).toBe("embedding_init: mean\n");
  });
  test("a model that another config makes has as many rows as that config says", () => {
    const files = (config: string) => ({
      ...project,
      readText: (path: string) => (path === "/p/b.ziptie.yaml" ? config : project.readText(path)),
      kind: (path: string) => (path === "/p/b.ziptie.yaml" ? ("file" as const) : project.kind(path)),
    });
    const own = `${pretrain("b.ziptie.yaml")}tokenizer_name_or_path: grown\n`;
    const sizes =
      "model: { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 }\ntokenizer_name_or_path: small\n";
    const small = `stage: pretrain\ndataset: rows.jsonl\n${sizes}`;
    const [finding, ...rest] = check(own, files(small));
    expect(finding).toMatchObject({
      rule: "tokenizer-model-vocab",
      message: expect.stringContaining("has 3 tokens, the embedding of `b.ziptie.yaml`'s model 2 rows"),
    });
    expect(rest).toEqual([]);
    expect(check(`${own}embedding_init: zip-tie\n`, files(small))).toEqual([]);
    // What has been grown once needs no growing.
    const grown = `${pretrain("small")}tokenizer_name_or_path: grown\nembedding_init: zip-tie\n`;
    expect(check(own, files(grown))).toEqual([]);
    // A config that names itself, by way of another, is no endless search.
    expect(check(own, files(pretrain("a.ziptie.yaml")))).toEqual([]);
  });
  test("a tokenizer that cannot be read is said elsewhere", () => {
    expect(check(pretrain("base"))).toEqual([]);
  });
});

describe("a model from random weights", () => {
  const config = (lines: string) =>
    `stage: pretrain\ntokenizer_name_or_path: tok\ndataset: rows.jsonl\nmax_length: 8\nmodel:\n  hidden_size: 8\n  intermediate_size: 8\n  num_hidden_layers: 1\n  num_attention_heads: 2\n${lines}`;
  test("llama3 scaling needs its frequencies", () => {
    checkAnnotated(
      config(
        "  rope_scaling: { rope_type: llama3, factor: 8, low_freq_factor: 1, high_freq_factor: 4 }\n  ^^^^^^^^^^^^ missing-key: `original_max_position_embeddings`\n",
      ),
      check,
    );
  });
  test("a Qwen2 has biases", () => {
    checkAnnotated(
      config(
        "  model_type: qwen2\n  attention_bias: false\n                  ^^^^^ incompatible-options: always has biases\n",
      ),
      check,
    );
  });
  test("heads of an odd width", () => {
    checkAnnotated(config("  head_dim: 3\n            ^ incompatible-options: even number\n"), check);
  });
  test("no token is missing", () => {
    checkAnnotated(
      config("embedding_init: mean\n^^^^^^^^^^^^^^ incompatible-options: no token is missing\n"),
      check,
    );
  });
});

describe("a tokenizer that is named by the config that makes it", () => {
  const own =
    "stage: pretrain\nmodel_name_or_path: small\ntokenizer_name_or_path: more.ziptie.yaml\nembedding_init: mean\ndataset: rows.jsonl\n";
  const at =
    "                        ^^^^^^^^^^^^^^^^ path-not-found: is a config; a tokenizer is named by its directory. ";
  const more = "stage: vocabulary\ntokenizer_name_or_path: small\nscripts: [Han]\ndataset: rows.jsonl\n";
  const files = (texts: Readonly<Record<string, string>>) => {
    const added = filesOf({ "/p/more.ziptie.yaml": more, ...texts });
    return {
      kind: (path: string) => added.kind(path) ?? project.kind(path),
      readText: (path: string) => added.readText(path) ?? project.readText(path),
      names: (path: string) => [...added.names(path), ...project.names(path)],
    };
  };
  const annotated = (message: string) => {
    const [before, after] = own.split("embedding_init");
    return `${before}${at}${message}\nembedding_init${after}`;
  };

  test("is to be named by the newest directory that this has written", () => {
    const grown = project.readText("/p/grown/tokenizer.json") ?? "";
    const disk = files({
      "/p/runs/more-2/tokenizer/tokenizer.json": grown,
      "/p/runs/more-10/tokenizer/tokenizer.json": grown,
      "/p/runs/more-11/run.json": "{}",
    });
    const message = "The newest that this config has made is `runs/more-10/tokenizer`.";
    const { text } = checkAnnotated(annotated(message), (given) => check(given, disk));
    const [finding] = check(text, disk);
    if (!finding) throw new Error("There is nothing to repair.");
    const repaired = applyFix(text, finding);
    expect(repaired).toContain("tokenizer_name_or_path: runs/more-10/tokenizer\n");
    expect(check(repaired, disk)).toEqual([]);
  });
  test("is to be made first where there is none", () => {
    checkAnnotated(annotated("A config of `stage: vocabulary` writes one"), (given) =>
      check(given, files({})),
    );
  });
});
