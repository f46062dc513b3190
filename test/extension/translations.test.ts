import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const strings = (path: string): Record<string, string> => JSON.parse(readFileSync(path, "utf8"));
const bundle = strings("l10n/bundle.l10n.zh-tw.json");
const english = strings("package.nls.json");
const chinese = strings("package.nls.zh-tw.json");

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
}

/** Every message that is given to `t("…")` or `l10n.t("…")`. */
const messages = new Set(
  [...sources("extension/src"), ...sources("webviews/src")].flatMap((text) =>
    [...text.matchAll(/\bt\(\s*"((?:[^"\\]|\\.)*)"/g)].map(([, message]) => JSON.parse(`"${message}"`)),
  ),
);
const places = (text: string) => (text.match(/\{\d+\}/g) ?? []).sort();

test("every message has a translation, and no translation is left over", () => {
  expect(Object.keys(bundle).sort()).toEqual([...messages].sort());
});

test("translations have the same places for values", () => {
  for (const [message, translation] of Object.entries(bundle)) {
    expect(places(translation), message).toEqual(places(message));
  }
});

test("the manifest names exactly the strings that there are, in both languages", () => {
  const manifest = readFileSync("package.json", "utf8");
  const named = [...manifest.matchAll(/"%([\w.-]+)%"/g)].map(([, key]) => key);
  expect([...new Set(named)].sort()).toEqual(Object.keys(english).sort());
  expect(Object.keys(chinese).sort()).toEqual(Object.keys(english).sort());
});
