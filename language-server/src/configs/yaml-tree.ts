import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  Scalar,
} from "yaml";
import type { Finding, Span } from "../text/span";
import { shortened } from "./shortened";

/** A YAML document as a plain tree with spans: aliases resolved, duplicate keys found, sizes bounded. */
export type YamlNode = YamlScalar | YamlSequence | YamlMapping;

export interface YamlScalar {
  readonly kind: "scalar";
  /** What YAML 1.2's core schema makes of it. */
  readonly value: string | number | boolean | null;
  /** Without quotes' meaning: whether the text stands in quotes. */
  readonly quoted: boolean;
  readonly span: Span;
}
export interface YamlSequence {
  readonly kind: "sequence";
  readonly items: readonly YamlNode[];
  readonly span: Span;
}
export interface YamlMapping {
  readonly kind: "mapping";
  readonly entries: readonly YamlEntry[];
  readonly span: Span;
}
export interface YamlEntry {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: YamlNode;
  /** Key and value. */
  readonly span: Span;
}

export interface YamlReading {
  /** null when the text has no document, or none that can be read. */
  readonly root: YamlNode | null;
  readonly findings: Finding[];
}

/** Characters; more is no training config and would only take time. */
const longestConfig = 64 * 1024;
/** Nodes after aliases are resolved: ten aliases of ten aliases of … must not fill the memory. */
const mostNodes = 5_000;
const deepestNesting = 50;

const syntax = "yaml-syntax";

/** Reads YAML 1.2 with the core schema. Never throws, whatever the text. */
export function readYaml(text: string): YamlReading {
  if (text.length > longestConfig) {
    return {
      root: null,
      findings: [
        {
          rule: syntax,
          span: { start: 0, end: firstLineEnd(text) },
          message: `This file has ${text.length} characters; a training config has at most ${longestConfig}. It is not checked.`,
        },
      ],
    };
  }
  const deep = deepFlow(text);
  if (deep !== null) return { root: null, findings: [tooDeep(deep)] };
  let documents: Document.Parsed[];
  try {
    const parsed = parseAllDocuments(text, {
      version: "1.2",
      schema: "core",
      prettyErrors: false,
      // Found by ourselves in one pass; the parser's own search is quadratic.
      uniqueKeys: false,
      logLevel: "silent",
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    if (error instanceof RangeError)
      return { root: null, findings: [tooDeep({ start: 0, end: firstLineEnd(text) })] };
    return {
      root: null,
      findings: [
        {
          rule: syntax,
          span: { start: 0, end: firstLineEnd(text) },
          message: `This is not YAML: ${String(error)}`,
        },
      ],
    };
  }
  const findings: Finding[] = [];
  for (const document of documents.slice(0, 1)) {
    for (const problem of [...document.errors, ...document.warnings]) {
      findings.push({ rule: syntax, span: visible(text, problem.pos), message: sentence(problem.message) });
    }
  }
  const second = documents[1];
  if (second) {
    const start = Math.min(second.range[0], text.length);
    findings.push({
      rule: syntax,
      span: visible(text, [Math.max(0, text.lastIndexOf("---", start)), start]),
      message: "A training config is one YAML document; this begins a second one, which is not read.",
    });
  }
  const first = documents[0];
  // Half a tree would only add findings that follow from the first mistake.
  if (!first?.contents || first.errors.length > 0) return { root: null, findings };
  const reader = new TreeReader(text, first, findings);
  return { root: reader.read(), findings };
}

class TreeReader {
  #nodes = 0;

  constructor(
    readonly text: string,
    readonly document: Document.Parsed,
    readonly findings: Finding[],
  ) {}

  read(): YamlNode | null {
    try {
      return this.#node(this.document.contents, { start: 0, end: 0 }, 0);
    } catch (error) {
      if (!(error instanceof UnreadableYaml)) throw error;
      this.findings.push({ rule: syntax, span: error.span, message: error.message });
      return null;
    }
  }

  /** @param fallback where a node stands that has no characters of its own */
  #node(node: unknown, fallback: Span, depth: number): YamlNode {
    const span = this.#span(node) ?? fallback;
    if (++this.#nodes > mostNodes) {
      throw new UnreadableYaml(
        `With its aliases resolved this file has more than ${mostNodes} values, which no training config has; it is not checked.`,
        fallback,
      );
    }
    if (depth > deepestNesting) throw new UnreadableYaml(deepMessage, span);
    if (isAlias(node)) {
      const target = node.resolve(this.document);
      if (!target) throw new UnreadableYaml(`No anchor \`&${shortened(node.source)}\` stands above.`, span);
      return moved(this.#node(target, span, depth + 1), span);
    }
    if (isMap(node)) return { kind: "mapping", entries: this.#entries(node.items, span, depth), span };
    if (isSeq(node)) {
      const items = node.items.map((item) => this.#node(isPair(item) ? null : item, span, depth + 1));
      return { kind: "sequence", items, span };
    }
    if (isScalar(node)) {
      const { value } = node;
      const quoted = node.type === Scalar.QUOTE_DOUBLE || node.type === Scalar.QUOTE_SINGLE;
      const plain =
        typeof value === "string" ||
        typeof value === "number" ||
        typeof value === "boolean" ||
        value === null;
      return { kind: "scalar", value: plain ? value : String(value), quoted, span };
    }
    return { kind: "scalar", value: null, quoted: false, span };
  }

  #entries(pairs: readonly { key: unknown; value: unknown }[], around: Span, depth: number): YamlEntry[] {
    const entries: YamlEntry[] = [];
    const seen = new Set<string>();
    for (const pair of pairs) {
      const keySpan = this.#span(pair.key) ?? around;
      if (!isScalar(pair.key) || isCollection(pair.key)) {
        this.findings.push({ rule: "unknown-key", span: keySpan, message: "A key here is a plain word." });
        continue;
      }
      const key = String(pair.key.value ?? this.text.slice(keySpan.start, keySpan.end));
      const value = this.#node(pair.value, keySpan, depth + 1);
      const span = { start: keySpan.start, end: Math.max(keySpan.end, value.span.end) };
      if (seen.has(key)) {
        this.findings.push({
          rule: "duplicate-key",
          span: keySpan,
          message: `\`${shortened(key)}\` stands here a second time; readers take one of the two and say nothing. Remove one.`,
          fixes: [
            {
              title: `Remove this \`${shortened(key)}\``,
              edits: [{ span: wholeLines(this.text, span), newText: "" }],
            },
          ],
        });
        continue;
      }
      seen.add(key);
      entries.push({ key, keySpan, value, span });
    }
    return entries;
  }

  #span(node: unknown): Span | null {
    const range = (node as { range?: [number, number, number] | null } | null | undefined)?.range;
    return range ? { start: range[0], end: trimmedEnd(this.text, range[0], range[1]) } : null;
  }
}

class UnreadableYaml extends Error {
  override readonly name = "UnreadableYaml";
  constructor(
    message: string,
    readonly span: Span,
  ) {
    super(message);
  }
}

const deepMessage = `This is nested more than ${deepestNesting} levels deep; it is not checked.`;
const tooDeep = (span: Span): Finding => ({ rule: syntax, span, message: deepMessage });

/** The first bracket that opens one level too many; the parser recurses once per level. */
function deepFlow(text: string): Span | null {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "[" || character === "{") {
      if (++depth > deepestNesting * 4) return { start: at, end: at + 1 };
    } else if (character === "]" || character === "}") depth = Math.max(0, depth - 1);
    else if (character === "\n" && !/\s/.test(text[at + 1] ?? "")) depth = 0;
  }
  return null;
}

/** An alias's value stands where the alias stands. */
function moved(node: YamlNode, span: Span): YamlNode {
  return { ...node, span };
}

/** The lines that a block entry takes up, so that removing it leaves no blank line; of a flow entry, just itself. */
export function wholeLines(text: string, span: Span): Span {
  const start = text.lastIndexOf("\n", span.start - 1) + 1;
  const newline = text.indexOf("\n", span.end);
  const end = newline < 0 ? text.length : newline + 1;
  const before = text.slice(start, span.start);
  const after = text.slice(span.end, end).trim();
  return before.trim() === "" && (after === "" || after.startsWith("#")) ? { start, end } : span;
}

function trimmedEnd(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && /\s/.test(text[at - 1] ?? "")) at--;
  return at;
}

/** At least one character, and within one line where the problem has no clear end. */
function visible(text: string, [start, end]: [number, number]): Span {
  const from = Math.min(start, Math.max(0, text.length - 1));
  return { start: from, end: Math.min(text.length, Math.max(end, from + 1)) };
}

function firstLineEnd(text: string): number {
  const end = text.slice(0, 200).search(/[\r\n]/);
  return end < 0 ? Math.min(200, text.length) : end;
}

function sentence(message: string): string {
  const short = shortened(message);
  return /[.!?…]$/.test(short) ? short : `${short}.`;
}
