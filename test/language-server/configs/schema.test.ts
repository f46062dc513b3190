import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { trainingConfigJsonSchema } from "../../../language-server/src/configs/language-service";
import { topLevelKeys } from "../../../language-server/src/configs/schema";
import { sharedData } from "../shared-data";

const properties = trainingConfigJsonSchema().properties as Record<
  string,
  { description?: string; default?: unknown }
>;

test.each(topLevelKeys)("%s is described, with its default and where its name is from", (key) => {
  const { description, default: constant } = properties[key] ?? {};
  expect(description).toMatch(/Ziptie's own key\.$|Name and meaning: (HF|TRL|PEFT|Unsloth|SentencePiece)/);
  if (constant !== undefined) expect(description).toContain("Default: `");
});

interface Field {
  default: unknown;
}
/** Whose keys are in no list here. */
const withoutLists = ["Unsloth", "HF BpeTrainer", "SentencePiece"];
const keys = join(sharedData ?? "", "config-keys");

describe.skipIf(sharedData === undefined)(
  "against the key lists of transformers and TRL (needs ../shared/data)",
  () => {
    const read = (name: string) =>
      sharedData === undefined ? {} : JSON.parse(readFileSync(join(keys, name), "utf8"));
    const hf = read("hf-training-arguments.json") as Record<string, Field>;
    const trl = read("trl.json") as Record<string, { fields: Record<string, Field> }>;
    const sources: Record<string, Record<string, Field>> = {
      "HF TrainingArguments": hf,
      "TRL SFTConfig": trl.SFTConfig?.fields ?? {},
      "TRL ModelConfig": trl.ModelConfig?.fields ?? {},
    };

    test.each(topLevelKeys)("%s has the name and default of its source, or says what differs", (key) => {
      const { description = "", default: constant } = properties[key] ?? {};
      const source = /Name and meaning: (.*)\.$/.exec(description)?.[1];
      if (!source) {
        for (const fields of Object.values(sources)) expect(fields).not.toHaveProperty(key);
        return;
      }
      // Both were in transformers until version 5, which takes a share as `warmup_steps`, and
      // `train_sampling_strategy: group_by_length`.
      if (key === "warmup_ratio" || key === "group_by_length") return;
      if (withoutLists.includes(source)) return;
      const field = sources[source]?.[key];
      expect(field).toBeDefined();
      if (constant !== undefined && constant !== field?.default) {
        expect(description).toMatch(/Default: .*(TRL|HF)/);
      }
    });
  },
);
