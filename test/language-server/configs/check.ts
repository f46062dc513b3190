import { expect } from "vitest";
import type { ConfigFiles } from "../../../language-server/src/configs/config-files";
import { checkConfig } from "../../../language-server/src/rules/config-rules";
import type { Finding } from "../../../language-server/src/text/span";
import { applyFix, checkAnnotated } from "../annotated";

/** A disk in memory: text by absolute path. */
export function filesOf(texts: Readonly<Record<string, string>>): ConfigFiles {
  const paths = Object.keys(texts);
  return {
    kind: (path) =>
      Object.hasOwn(texts, path)
        ? "file"
        : paths.some((each) => each.startsWith(`${path}/`))
          ? "directory"
          : null,
    readText: (path) => texts[path] ?? null,
    names: (path) => [
      ...new Set(
        paths
          .filter((each) => each.startsWith(`${path}/`))
          .map((each) => each.slice(path.length + 1).split("/")[0] ?? ""),
      ),
    ],
  };
}

function tokenizerOf(tokens: readonly string[]): string {
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return JSON.stringify({ model: { vocab }, added_tokens: [{ id: 0, content: "a" }] });
}

/** What the configs of these tests name. */
export const project = filesOf({
  "/p/base/config.json": "{}",
  "/p/base/tokenizer.json": "{}",
  "/p/bare/config.json": "{}",
  "/p/rows.jsonl": "",
  "/p/chat.jsonl": "",
  "/p/chat.jinja": "{{ messages[0].content }}",
  "/p/broken.jinja": "{% for m in messages %}",
  "/p/tok/tokenizer.json": "{}",
  "/p/tok/tokenizer_config.json": JSON.stringify({ chat_template: "{{ messages[0].content }}" }),
  "/p/tied/config.json": JSON.stringify({ tie_word_embeddings: true, vocab_size: 2 }),
  "/p/tied/tokenizer.json": tokenizerOf(["a", "b"]),
  "/p/small/config.json": JSON.stringify({ vocab_size: 2 }),
  "/p/small/tokenizer.json": tokenizerOf(["a", "b"]),
  "/p/padded/config.json": JSON.stringify({ vocab_size: 4 }),
  "/p/padded/tokenizer.json": tokenizerOf(["a", "b"]),
  "/p/grown/tokenizer.json": tokenizerOf(["a", "b", "ab"]),
  "/p/grown/zip-tie.json": "{}",
  "/p/other.ziptie.yaml": "stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n",
});

export function check(text: string, files: ConfigFiles = project): Finding[] {
  return checkConfig(text, "/p/a.ziptie.yaml", files).findings;
}

/** Checks annotated text, then that the first fix of its first finding leaves no finding. */
export function checkRepaired(source: string): string {
  const { text } = checkAnnotated(source, check);
  const [finding] = check(text);
  if (!finding) throw new Error("There is nothing to repair.");
  const repaired = applyFix(text, finding);
  expect(check(repaired)).toEqual([]);
  return repaired;
}
