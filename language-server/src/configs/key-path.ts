import type { Span } from "../text/span";
import type { YamlEntry, YamlMapping, YamlNode } from "./yaml-tree";

/** Keys and list positions from the top, e.g. `["dataset", 0, "path"]`. */
export type KeyPath = readonly (string | number)[];

export function nodeAt(root: YamlNode, path: KeyPath): YamlNode | null {
  let node: YamlNode | null = root;
  for (const part of path) {
    if (node?.kind === "mapping") node = node.entries.find((entry) => entry.key === part)?.value ?? null;
    else if (node?.kind === "sequence")
      node = (typeof part === "number" ? node.items[part] : undefined) ?? null;
    else return null;
  }
  return node;
}

/** The entry whose key is the last of the path. */
export function entryAt(root: YamlNode, path: KeyPath): YamlEntry | null {
  const parent = nodeAt(root, path.slice(0, -1));
  return parent?.kind === "mapping"
    ? (parent.entries.find((entry) => entry.key === path.at(-1)) ?? null)
    : null;
}

/**
 * Where a key or its value stands. Of a path that is not there, the nearest place above that is; of the whole config, its
 * first key.
 */
export function spanOf(root: YamlMapping, path: KeyPath, part: "key" | "value"): Span {
  for (let length = path.length; length > 0; length--) {
    const above = path.slice(0, length);
    const node = nodeAt(root, above);
    const entry = entryAt(root, above);
    // A key without a value has no characters of its value: the key is underlined.
    if (entry) {
      const { start, end } = entry.value.span;
      return part === "key" || length < path.length || start === end ? entry.keySpan : entry.value.span;
    }
    if (node) return node.kind === "mapping" ? (node.entries[0]?.keySpan ?? node.span) : node.span;
  }
  return root.entries[0]?.keySpan ?? { start: root.span.start, end: root.span.start };
}

/** The tree as the plain value that the schema reads. */
export function plainValue(node: YamlNode): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "sequence") return node.items.map(plainValue);
  const value: Record<string, unknown> = {};
  // `__proto__` is a key like any other.
  for (const entry of node.entries) {
    Object.defineProperty(value, entry.key, {
      value: plainValue(entry.value),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return value;
}
