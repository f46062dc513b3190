import { basename } from "node:path";
import type { Finding } from "../text/span";
import { plainValue } from "./key-path";
import { notYetRunnable } from "./not-yet-runnable";
import { optionFindings } from "./option-findings";
import { type TrainingConfig, trainingConfigSchema } from "./schema";
import { schemaFindings } from "./schema-findings";
import { readYaml, type YamlMapping } from "./yaml-tree";

/** What a config's text says, whatever the disk holds. */
export interface ConfigReading {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
  /** The tree with spans; null when the text is no mapping. */
  readonly root: YamlMapping | null;
  /** Present when the schema accepts every value that is read; unknown keys do not matter. Constant defaults are filled in. */
  readonly config: TrainingConfig | null;
  readonly findings: readonly Finding[];
}

/**
 * Reads a training config and says everything that is wrong in its text. Never throws.
 * @param path absolute
 */
export function readConfig(text: string, path: string): ConfigReading {
  const { root, findings } = readYaml(text);
  const nothing = { path, text, root: null, config: null };
  if (root === null) {
    if (findings.length === 0) {
      const message = `${basename(path)} is empty. Begin with \`stage: pretrain\` or \`stage: sft\`.`;
      findings.push({ rule: "missing-key", span: { start: 0, end: Math.min(1, text.length) }, message });
    }
    return { ...nothing, findings };
  }
  if (root.kind !== "mapping") {
    const message = "A training config is a mapping: lines of `key: value`.";
    return { ...nothing, findings: [...findings, { rule: "wrong-value-type", span: root.span, message }] };
  }
  const value = plainValue(root);
  const parsed = trainingConfigSchema.safeParse(value);
  let config = parsed.data ?? null;
  if (parsed.error) {
    findings.push(...schemaFindings(text, root, parsed.error.issues));
    // Values are judged together only where they are right one by one; a stray key does not make them wrong.
    if (parsed.error.issues.every((issue) => issue.code === "unrecognized_keys")) {
      config = trainingConfigSchema.safeParse(withoutKeys(value, parsed.error.issues)).data ?? null;
    }
  }
  findings.push(...notYetRunnable(text, root));
  if (config) findings.push(...optionFindings(text, root, config));
  return { path, text, root, config, findings };
}

function withoutKeys(
  value: unknown,
  issues: readonly { path: readonly PropertyKey[]; code?: string; keys?: readonly string[] }[],
): unknown {
  const copy = structuredClone(value);
  for (const issue of issues) {
    let parent = copy as Record<PropertyKey, unknown> | undefined;
    for (const part of issue.path) parent = parent?.[part] as typeof parent;
    for (const key of issue.keys ?? []) if (parent) delete parent[key];
  }
  return copy;
}
