import type { z } from "zod";
import type { Finding, FindingFix, Span } from "../text/span";
import { foreignSource, ourName } from "./foreign-keys";
import { type KeyPath, nodeAt, spanOf } from "./key-path";
import { nearest } from "./nearest";
import { topLevelKeys, trainingConfigSchema } from "./schema";
import { shortened } from "./shortened";
import { wholeLines, type YamlEntry, type YamlMapping, type YamlNode } from "./yaml-tree";

/** Turns what zod found into findings in the words and at the place of the person who wrote the config. */
export function schemaFindings(
  text: string,
  root: YamlMapping,
  issues: readonly z.core.$ZodIssue[],
): Finding[] {
  return issues.flatMap((issue) => issueFindings(text, root, issue, []));
}

function issueFindings(text: string, root: YamlMapping, issue: z.core.$ZodIssue, base: KeyPath): Finding[] {
  const path: KeyPath = [...base, ...(issue.path as (string | number)[])];
  const node = nodeAt(root, path);
  const name = keyName(path);
  const span = spanOf(root, path, "value");
  switch (issue.code) {
    case "unrecognized_keys":
      return unknownKeys(text, root, path, issue.keys);
    case "invalid_union": {
      if (!node) return [missingKey(root, path)];
      const branch = closestBranch(issue.errors, node);
      if (branch) return branch.flatMap((inner) => issueFindings(text, root, inner, path));
      return [wrongType(span, name, expectedOf(issue.errors), node)];
    }
    case "invalid_type":
      if (!node) return [missingKey(root, path)];
      return [wrongType(span, name, expectedNames[issue.expected] ?? issue.expected, node)];
    case "invalid_value":
      if (!node) return [missingKey(root, path)];
      return [unknownValue(span, name, issue.values.map(String), node)];
    case "too_small":
      if (issue.origin === "array") return [wrongType(span, name, "a list of at least one", node)];
      if (issue.origin === "string") return [wrongType(span, name, "a text that is not empty", node)];
      return [
        outOfRange(
          span,
          name,
          node,
          `at least ${issue.minimum}`,
          issue.inclusive === false ? `more than ${issue.minimum}` : null,
        ),
      ];
    case "too_big":
      return [
        outOfRange(
          span,
          name,
          node,
          `at most ${issue.maximum}`,
          issue.inclusive === false ? `less than ${issue.maximum}` : null,
        ),
      ];
    default:
      return [
        { rule: "value-out-of-range", span, message: `\`${name}\` ${issue.message}; it is ${shown(node)}.` },
      ];
  }
}

const expectedNames: Record<string, string> = {
  number: "a number",
  int: "a whole number",
  string: "a text",
  boolean: "`true` or `false`",
  object: "a mapping of keys",
  record: "a mapping of keys",
  array: "a list",
  null: "`null`",
};

/** The branch of a union that the person was writing: the one whose shape the value already has. */
function closestBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
  node: YamlNode | null,
): readonly z.core.$ZodIssue[] | null {
  const shaped = branches.filter(
    (issues) => !issues.some((issue) => issue.path.length === 0 && !holdsShape(issue, node)),
  );
  return shaped.length === 1 || (shaped.length > 1 && node?.kind !== "scalar") ? (shaped[0] ?? null) : null;
}

/** Whether an issue at the value itself leaves open that the value has the branch's shape. */
function holdsShape(issue: z.core.$ZodIssue, node: YamlNode | null): boolean {
  if (issue.code === "invalid_type") return false;
  if (issue.code === "invalid_union") return closestBranch(issue.errors, node) !== null;
  if (issue.code === "invalid_value") {
    return node?.kind === "scalar" && issue.values.some((value) => typeof value === typeof node.value);
  }
  return true;
}

function expectedOf(branches: readonly (readonly z.core.$ZodIssue[])[]): string {
  const names = branches.flatMap((issues) =>
    issues.flatMap((issue): string[] => {
      if (issue.path.length > 0) return [];
      if (issue.code === "invalid_type") return [expectedNames[issue.expected] ?? issue.expected];
      if (issue.code === "invalid_value") return issue.values.map((value) => `\`${String(value)}\``);
      if (issue.code === "invalid_union") return [expectedOf(issue.errors)];
      return [];
    }),
  );
  return [...new Set(names)].join(" or ");
}

function unknownKeys(text: string, root: YamlMapping, path: KeyPath, keys: readonly string[]): Finding[] {
  const parent = nodeAt(root, path);
  if (parent?.kind !== "mapping") return [];
  const entries = new Map(parent.entries.map((entry) => [entry.key, entry]));
  const known = path.length === 0 ? topLevelKeys : keysAt(path);
  return keys.flatMap((key) => {
    const entry = entries.get(key);
    return entry ? [unknownKey(text, entry, path, known, entries)] : [];
  });
}

/** @param siblings the entries of the same mapping: what is there already is not suggested */
function unknownKey(
  text: string,
  { key, keySpan, span }: YamlEntry,
  path: KeyPath,
  known: readonly string[],
  siblings: ReadonlyMap<string, YamlEntry>,
): Finding {
  const atTop = path.length === 0;
  const fixes: FindingFix[] = [];
  const translated = atTop ? ourName(key) : null;
  const source = atTop && !translated ? foreignSource(key) : null;
  const suggestion = source ? null : (translated ?? nearest(key, known));
  if (suggestion && !siblings.has(suggestion)) {
    fixes.push({ title: `Replace with \`${suggestion}\``, edits: [{ span: keySpan, newText: suggestion }] });
  }
  const shownKey = shortened(key);
  fixes.push({ title: `Remove \`${shownKey}\``, edits: [{ span: wholeLines(text, span), newText: "" }] });
  const what = source
    ? `\`${shownKey}\` is a key of ${source} that Ziptie does not read.`
    : atTop
      ? `Ziptie has no key \`${shownKey}\`.`
      : `\`${keyName(path)}\` has no key \`${shownKey}\`.`;
  const instead = !suggestion
    ? " Remove it."
    : translated
      ? ` Here it is \`${suggestion}\`.`
      : ` Did you mean \`${suggestion}\`?`;
  return { rule: "unknown-key", span: keySpan, message: what + instead, fixes };
}

function missingKey(root: YamlMapping, path: KeyPath): Finding {
  const key = String(path.at(-1));
  const parent = path.slice(0, -1);
  const where = parent.length === 0 ? "A training config" : `\`${keyName(parent)}\``;
  return { rule: "missing-key", span: spanOf(root, parent, "key"), message: `${where} needs \`${key}\`.` };
}

function wrongType(span: Span, name: string, expected: string, node: YamlNode | null): Finding {
  const fixes: FindingFix[] = [];
  if (node?.kind === "scalar" && typeof node.value === "string") {
    const value = node.value.trim();
    if (/number/.test(expected) && value !== "" && Number.isFinite(Number(value))) {
      return {
        rule: "yaml-float-string",
        span,
        message: `\`${name}\` takes ${expected}, and ${shown(node)} is a text: readers of YAML 1.1 and 1.2 pass it on as one. Remove the quotes.`,
        fixes: [{ title: "Remove the quotes", edits: [{ span, newText: value }] }],
      };
    }
    const boolean = yaml11Booleans.get(value.toLowerCase());
    if (boolean && /true/.test(expected)) {
      fixes.push({ title: `Replace with \`${boolean}\``, edits: [{ span, newText: boolean }] });
    }
  }
  const found = node?.kind === "scalar" && node.value === null ? "nothing" : shown(node);
  return {
    rule: "wrong-value-type",
    span,
    message: `\`${name}\` takes ${expected}; this is ${found}.`,
    fixes,
  };
}

const yaml11Booleans = new Map([
  ["yes", "true"],
  ["on", "true"],
  ["true", "true"],
  ["no", "false"],
  ["off", "false"],
  ["false", "false"],
]);

function unknownValue(span: Span, name: string, values: readonly string[], node: YamlNode): Finding {
  if (node.kind !== "scalar") return wrongType(span, name, list(values), node);
  const suggestion = nearest(String(node.value), values);
  return {
    rule: "unknown-value",
    span,
    message: `\`${name}\` takes ${list(values)}; this is ${shown(node)}.${suggestion ? ` Did you mean \`${suggestion}\`?` : ""}`,
    fixes: suggestion
      ? [{ title: `Replace with \`${suggestion}\``, edits: [{ span, newText: suggestion }] }]
      : [],
  };
}

function outOfRange(
  span: Span,
  name: string,
  node: YamlNode | null,
  limit: string,
  strict: string | null,
): Finding {
  return {
    rule: "value-out-of-range",
    span,
    message: `\`${name}\` must be ${strict ?? limit}; it is ${shown(node)}.`,
  };
}

function list(values: readonly string[]): string {
  const quoted = values.map((value) => `\`${value}\``);
  return quoted.length < 2 ? quoted.join("") : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

function shown(node: YamlNode | null): string {
  if (!node) return "absent";
  if (node.kind === "mapping") return "a mapping";
  if (node.kind === "sequence") return "a list";
  const short = shortened(String(node.value));
  return node.quoted ? `\`"${short}"\`` : `\`${short}\``;
}

/** `dataset[1].path`, as a person would say it. */
export function keyName(path: KeyPath): string {
  return path.reduce<string>(
    (name, part) => (typeof part === "number" ? `${name}[${part}]` : name ? `${name}.${part}` : part),
    "",
  );
}

/** The keys a nested mapping may have. */
function keysAt(path: KeyPath): string[] {
  const names = path.filter((part): part is string => typeof part === "string");
  let shape: unknown = trainingConfigSchema;
  for (const name of names) shape = mappingOf(memberOf(shape, name));
  const found = mappingOf(shape);
  return found ? Object.keys(found.shape) : [];
}

type ZodMapping = z.ZodObject<Record<string, z.ZodType>>;

function memberOf(type: unknown, name: string): unknown {
  return mappingOf(type)?.shape[name];
}

/** The mapping inside defaults, unions and lists. */
function mappingOf(type: unknown): ZodMapping | null {
  const { def } = (type ?? {}) as {
    def?: { type: string; innerType?: unknown; element?: unknown; options?: unknown[] };
  };
  if (!def) return null;
  if (def.type === "object") return type as ZodMapping;
  for (const inner of [def.innerType, def.element, ...(def.options ?? [])]) {
    const found = inner ? mappingOf(inner) : null;
    if (found) return found;
  }
  return null;
}
