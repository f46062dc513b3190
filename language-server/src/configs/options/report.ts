import type { Finding, FindingFix } from "../../text/span";
import { entryAt, type KeyPath, nodeAt, spanOf } from "../key-path";
import type { PartialConfig } from "../schema";
import { wholeLines, type YamlMapping } from "../yaml-tree";

/** Gathers what is wrong with keys together, and knows where in the text they stand. */
export class OptionReport {
  readonly findings: Finding[] = [];

  constructor(
    readonly text: string,
    readonly root: YamlMapping,
    readonly config: PartialConfig,
  ) {}

  /** Whether a key of the top level is there with a value. */
  has(key: string): boolean {
    const node = nodeAt(this.root, [key]);
    return node !== null && !(node.kind === "scalar" && node.value === null);
  }

  add(finding: Finding): void {
    this.findings.push(finding);
  }

  /** A key that is ignored or excluded by another one; the fix removes it. */
  incompatible(key: string, message: string, path: readonly string[] = [key]): void {
    this.add({
      rule: "incompatible-options",
      span: spanOf(this.root, path, "key"),
      message,
      fixes: this.removal(path),
    });
  }

  /** A value that does not go with the rest; there is no one repair. */
  unfitting(path: KeyPath, message: string, fixes: FindingFix[] = []): void {
    this.add({ rule: "incompatible-options", span: spanOf(this.root, path, "value"), message, fixes });
  }

  missing(at: string, message: string): void {
    this.add({ rule: "missing-key", span: spanOf(this.root, [at], "key"), message });
  }

  removal(path: readonly string[]): FindingFix[] {
    const entry = entryAt(this.root, path);
    return entry
      ? [
          {
            title: `Remove \`${path.at(-1)}\``,
            edits: [{ span: wholeLines(this.text, entry.span), newText: "" }],
          },
        ]
      : [];
  }

  /** Sets `key: true`, adding the line above `before` when it is not there. */
  switchOn(key: string, before: string): FindingFix[] {
    const there = entryAt(this.root, [key]);
    if (there) {
      return [{ title: `Set \`${key}: true\``, edits: [{ span: there.value.span, newText: "true" }] }];
    }
    const start = entryAt(this.root, [before])?.keySpan.start;
    if (start === undefined || (start > 0 && this.text[start - 1] !== "\n")) return [];
    const edits = [{ span: { start, end: start }, newText: `${key}: true\n` }];
    return [{ title: `Add \`${key}: true\``, edits }];
  }
}
