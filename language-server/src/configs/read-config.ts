import { basename } from "node:path";
import type { z } from "zod";
import type { Finding } from "../text/span";
import { plainValue } from "./key-path";
import { notYetRunnable } from "./not-yet-runnable";
import { optionFindings } from "./option-findings";
import { type PartialConfig, partialConfigSchema, type TrainingConfig, trainingConfigSchema } from "./schema";
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
  /** The same without the keys whose values are wrong, for checks that need only some of them. */
  readonly partial: PartialConfig | null;
  readonly findings: readonly Finding[];
}

/**
 * Reads a training config and says everything that is wrong in its text. Never throws.
 * @param path absolute
 */
export function readConfig(text: string, path: string): ConfigReading {
  const { root, findings } = readYaml(text);
  const nothing = { path, text, root: null, config: null, partial: null };
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
  const issues = parsed.error?.issues ?? [];
  findings.push(...schemaFindings(text, root, issues), ...notYetRunnable(text, root));
  // A stray key does not make the values that are read wrong.
  const strays = withoutStrays(value, issues);
  const config = trainingConfigSchema.safeParse(strays).data ?? null;
  const partial = config ?? partialConfigSchema.safeParse(withoutWrongValues(strays, issues)).data ?? null;
  if (partial) findings.push(...optionFindings(text, root, partial));
  return { path, text, root, config, partial, findings };
}

type Issues = readonly z.core.$ZodIssue[];

function withoutStrays(value: unknown, issues: Issues): unknown {
  const copy = structuredClone(value);
  for (const issue of issues) {
    if (issue.code !== "unrecognized_keys") continue;
    let parent = copy as Record<PropertyKey, unknown> | undefined;
    for (const part of issue.path) parent = parent?.[part] as typeof parent;
    for (const key of issue.keys) if (parent) delete parent[key];
  }
  return copy;
}

/** Without the keys of the top level under which something is wrong. */
function withoutWrongValues(value: unknown, issues: Issues): unknown {
  const copy = { ...(value as Record<PropertyKey, unknown>) };
  for (const issue of issues) {
    const [key] = issue.path;
    if (issue.code !== "unrecognized_keys" && key !== undefined) delete copy[key];
  }
  return copy;
}
