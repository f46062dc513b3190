import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DatasetChecker } from "../../../language-server/src/datasets/check";
import { ruleById, ruleIds, rulePage, rules } from "../../../language-server/src/rules/registry";
import { checkTemplate } from "../../../language-server/src/templates/template";
import type { Finding } from "../../../language-server/src/text/span";
import { check as checkConfig } from "../configs/check";

const folder = join(import.meta.dirname, "../../../docs/rules");
const pages = readdirSync(folder)
  .filter((name) => name.endsWith(".md") && name !== "README.md")
  .map((name) => name.slice(0, -3));

test("every rule has its page, and every page its rule", () => {
  expect([...pages].sort()).toEqual([...ruleIds].sort());
  expect(new Set(ruleIds).size).toBe(ruleIds.length);
  expect(rulePage("unknown-key")).toBe("ziptie://rules/unknown-key");
});

/** A page's examples are whole files, but for configs that say only what they are about. */
function findingsOf(language: string, example: string): Finding[] {
  if (language === "jsonl") return new DatasetChecker(`${example}\n`).findings();
  if (language === "jinja") return checkTemplate(example);
  const rest = "stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n";
  return checkConfig(example.includes("stage:") ? example : `${rest}${example}\n`);
}

/** Rules about bytes, sizes and time, whose examples no page can show; each has a test of its own. */
const described = new Set(["invalid-utf8", "length-over-limit", "time-limit"]);

describe.each(rules.map(({ id }) => id))("the page of %s", (id) => {
  const page = readFileSync(join(folder, `${id}.md`), "utf8");
  const examples = [...page.matchAll(/^## (Bad|Good)\n\n```(\w+)\n([\s\S]*?)\n```$/gm)];

  test("says severity, a bad and a good example, and how to repair", () => {
    expect(page).toMatch(new RegExp(`^# ${id}\n\nSeverity: ${ruleById(id)?.severity} · In: `));
    expect(examples.map(([, heading]) => heading)).toEqual(["Bad", "Good"]);
    expect(page).toContain("\n## Repair\n");
  });

  if (described.has(id)) return;
  test("has examples that are what they claim", () => {
    const [bad, good] = examples.map(([, , language = "", example = ""]) => findingsOf(language, example));
    expect(bad?.map(({ rule }) => rule)).toContain(id);
    expect(good).toEqual([]);
  });
});
