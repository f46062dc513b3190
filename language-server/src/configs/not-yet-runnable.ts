import type { Finding, FindingFix } from "../text/span";
import { entryAt, type KeyPath, nodeAt, spanOf } from "./key-path";
import { wholeLines, type YamlMapping, type YamlNode } from "./yaml-tree";

/** A key or value that is right, and that the engine cannot carry out yet. */
interface Limit {
  readonly path: KeyPath;
  /** Whether this value is affected; absent: any value is. */
  readonly applies?: (value: unknown) => boolean;
  /** What runs today, for the message. */
  readonly instead: string;
  /** The value that runs today; absent: the key is to be removed. */
  readonly value?: string;
}

const not =
  (...runnable: unknown[]) =>
  (value: unknown) =>
    !runnable.includes(value);

const limits: readonly Limit[] = [
  {
    path: ["bnb_4bit_quant_type"],
    applies: not("nf4"),
    instead: "`nf4` runs",
    value: "nf4",
  },
  {
    path: ["optim"],
    applies: (value) => value === "paged_adamw_32bit",
    instead: "`adamw_torch`, `adamw_8bit` and `paged_adamw_8bit` run",
    value: "adamw_torch",
  },
  {
    path: ["lr_scheduler_type"],
    applies: not("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_min_lr"),
    instead: "`constant`, `constant_with_warmup`, `linear`, `cosine` and `cosine_with_min_lr` run",
    value: "cosine",
  },
  { path: ["device"], applies: (value) => value === "cuda", instead: "`auto` and `cpu` run", value: "auto" },
  { path: ["judge"], instead: "a run is watched by its losses" },
];

/** `plan` and `train` refuse these keys; the editor says so while they are written. */
export function notYetRunnable(text: string, root: YamlMapping): Finding[] {
  const findings: Finding[] = [];
  for (const limit of limits) {
    const node = nodeAt(root, limit.path);
    if (!node) continue;
    const value = node.kind === "scalar" ? node.value : node;
    if (limit.applies && !limit.applies(value)) continue;
    findings.push(finding(text, root, limit, node));
  }
  return findings;
}

function finding(text: string, root: YamlMapping, limit: Limit, node: YamlNode): Finding {
  const key = limit.path.join(".");
  const entry = entryAt(root, limit.path);
  const whole = limit.applies === undefined || node.kind !== "scalar";
  const said = whole ? `\`${key}\`` : `\`${key}: ${node.kind === "scalar" ? String(node.value) : ""}\``;
  const fixes: FindingFix[] = [];
  if (limit.value !== undefined) {
    fixes.push({
      title: `Replace with \`${limit.value}\``,
      edits: [{ span: node.span, newText: limit.value }],
    });
  } else if (entry) {
    fixes.push({
      title: `Remove \`${key}\``,
      edits: [{ span: wholeLines(text, entry.span), newText: "" }],
    });
  }
  return {
    rule: "not-yet-runnable",
    span: spanOf(root, limit.path, whole ? "key" : "value"),
    message: `The engine cannot carry out ${said} yet; ${limit.instead}.`,
    fixes,
  };
}
