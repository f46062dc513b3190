import { dirname, join, resolve } from "node:path";
import { chatTemplatesOf } from "../templates/chat-template";
import { isBuiltInTemplate } from "../templates/template";
import type { ConfigFiles } from "./config-files";
import type { ConfigReading } from "./read-config";
import { readConfig } from "./read-config";
import { runNameOf, runNumber } from "./run-names";
import type { ChatTemplateSource } from "./training-plan";

/** Whether a path names another training config rather than a model. */
export function isConfigPath(path: string): boolean {
  return /\.ziptie\.ya?ml$/i.test(path);
}

/**
 * Where the tokenizer of a config is: its own key, else its model's directory, else that of the config its model comes
 * from, and so on.
 * @returns absolute; null when no config of the chain says, or the chain bites its tail
 */
export function tokenizerPathOf(reading: ConfigReading, files: ConfigFiles): string | null {
  const seen = new Set<string>();
  let current: ConfigReading | null = reading;
  while (current?.partial && !seen.has(current.path)) {
    seen.add(current.path);
    const folder = dirname(current.path);
    const { tokenizer_name_or_path: tokenizer, model_name_or_path: model } = current.partial;
    if (tokenizer !== undefined) return resolve(folder, tokenizer);
    if (model === undefined) return null;
    const modelPath = resolve(folder, model);
    if (!isConfigPath(model)) return modelPath;
    const text = files.readText(modelPath);
    current = text === null ? null : readConfig(text, modelPath);
  }
  return null;
}

/** The tokenizer that a config of `stage: vocabulary` has written last; null when it has none. @param config absolute */
export function newestTokenizerOf(config: string, files: ConfigFiles): string | null {
  const text = files.readText(config);
  const output = text === null ? undefined : readConfig(text, config).partial?.output_dir;
  if (output === undefined) return null;
  const folder = resolve(dirname(config), output);
  const name = runNameOf(config);
  const numbers = files
    .names(folder)
    .flatMap((entry) => runNumber(entry, name) ?? [])
    .sort((a, b) => b - a);
  const written = numbers.map((number) => join(folder, `${name}-${number}`, "tokenizer"));
  return written.find((tokenizer) => files.kind(join(tokenizer, "tokenizer.json")) === "file") ?? null;
}

/**
 * The chat template that a tokenizer carries: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`.
 * @param tokenizer absolute path of a directory or of a `tokenizer.json`
 */
export function chatTemplateOf(
  tokenizer: string,
  files: ConfigFiles,
): { path: string; source: string } | null {
  const folder = files.kind(tokenizer) === "file" ? dirname(tokenizer) : tokenizer;
  const alone = join(folder, "chat_template.jinja");
  const source = files.kind(alone) === "file" ? files.readText(alone) : null;
  if (source !== null) return { path: alone, source };
  const path = join(folder, "tokenizer_config.json");
  const text = files.kind(path) === "file" ? files.readText(path) : null;
  if (text === null) return null;
  try {
    const [first] = chatTemplatesOf(JSON.parse(text).chat_template);
    return first ? { path, source: first.source } : null;
  } catch {
    return null;
  }
}

/** What `chat_template_path` stands for. */
export function chatTemplateSource(written: string | undefined, folder: string): ChatTemplateSource {
  if (written === undefined) return { kind: "tokenizer" };
  return isBuiltInTemplate(written)
    ? { kind: "builtin", name: written }
    : { kind: "file", path: resolve(folder, written) };
}
