import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { documentKind, kindHeadLength } from "../../../language-server/src/documents/kind";
import { sharedData } from "../shared-data";

describe("documentKind", () => {
  it.each([
    ["/p/sft.ziptie.yaml", "training-config"],
    ["C:\\p\\sft.ziptie.yml", "training-config"],
    ["/p/compose.yaml", "unknown"],
    ["/p/data/train.jsonl", "dataset"],
    ["/p/runs/sft-1/events.jsonl", "unknown"],
    ["/p/dataset_info.json", "dataset-info"],
    ["/p/tokenizer.json", "tokenizer"],
    ["/p/tokenizer_config.json", "tokenizer-config"],
    ["/p/chat_template.jinja", "template"],
    ["/p/index.html.jinja", "unknown"],
    ["/p/train.json", "unknown"],
    ["/p/notes.txt", "unknown"],
  ])("takes %s, by its name alone, for %s", (path, kind) => {
    expect(documentKind(path)).toBe(kind);
  });

  it.each([
    ["rows of messages", '[{"messages": [{"role": "user", "content": "h'],
    ["alpaca rows", '[\n  {\n    "instruction": "a",\n    "input": "", "output": "b"},'],
    ["lines in a .json file", '{"text": "a"}\n{"text": "b"}\n'],
    [
      "a first row that is broken",
      '[{"instruction": "a", "output": b},\n{"instruction": "a", "output": "b"}]',
    ],
    ["preferences", '[{"prompt": "a", "chosen": "b", "rejected": "c"}]'],
  ])("takes a .json file for a dataset when it holds %s", (_name, head) => {
    expect(documentKind("/p/train.json", "json", head)).toBe("dataset");
  });

  it.each([
    ["package.json", '{"name": "a", "messages": []}'],
    ["package.json", '[{"messages": []}]'],
    ["tsconfig.json", '{\n  // comment\n  "compilerOptions": {}\n}'],
    ["config.json", '{"model_type": "llama"}'],
    ["menu.json", '[{"text": "Home", "url": "/"}]'],
    ["points.json", "[[1, 2], [3, 4]]"],
    ["empty.json", ""],
    ["words.json", '["a", "b"]'],
  ])("leaves %s with %j alone", (name, head) => {
    expect(documentKind(`/p/${name}`, "json", head)).toBe("unknown");
  });

  it("knows an untitled buffer by its language", () => {
    expect(documentKind("Untitled-1", "jsonl", "")).toBe("dataset");
    expect(documentKind("Untitled-1", "jinja", "")).toBe("template");
    expect(documentKind("Untitled-1", "python", "")).toBe("unknown");
  });

  it.skipIf(!sharedData)("knows real files", () => {
    const kindOf = (...path: string[]): string => {
      const file = join(sharedData ?? "", ...path);
      return documentKind(file, "json", readFileSync(file, "utf8").slice(0, kindHeadLength));
    };
    for (const name of readdirSync(join(sharedData ?? "", "sft"))) {
      expect([name, kindOf("sft", name)]).toEqual([
        name,
        name === "dataset_info.json" ? "dataset-info" : "dataset",
      ]);
    }
    expect(kindOf("tokenizers", "llama2-tokenizer.json")).toBe("unknown");
    expect(kindOf("models", "stories260k", "config.json")).toBe("unknown");
    expect(kindOf("drcd", "DRCD_dev.json")).toBe("unknown");
    expect(kindOf("config-keys", "trl.json")).toBe("unknown");
  });
});
