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

const isTrue = (value: unknown) => value === true;
const not =
  (...runnable: unknown[]) =>
  (value: unknown) =>
    !runnable.includes(value);

const limits: readonly Limit[] = [
  {
    path: ["stage"],
    applies: (value) => value === "vocabulary",
    instead: "`pretrain` and `sft` run",
    value: "pretrain",
  },
  { path: ["packing"], applies: isTrue, instead: "rows are trained one by one", value: "false" },
  {
    path: ["load_in_4bit"],
    applies: isTrue,
    instead: "frozen weights stay in float32",
    value: "false",
  },
  {
    path: ["optim"],
    applies: not("adamw_torch", "adamw_torch_fused"),
    instead: "`adamw_torch` runs",
    value: "adamw_torch",
  },
  {
    path: ["lr_scheduler_type"],
    applies: not("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_min_lr"),
    instead: "`constant`, `constant_with_warmup`, `linear`, `cosine` and `cosine_with_min_lr` run",
    value: "cosine",
  },
  {
    path: ["gradient_checkpointing"],
    applies: not("auto", "none", false),
    instead: "every activation is kept",
    value: "auto",
  },
  { path: ["group_by_length"], applies: isTrue, instead: "rows are taken in random order", value: "false" },
  { path: ["embedding_learning_rate"], instead: "every weight has the same `learning_rate`" },
  { path: ["dtype"], applies: not("auto", "float32"), instead: "`float32` runs", value: "float32" },
  { path: ["model", "rope_scaling"], instead: "positions are not scaled" },
  { path: ["model", "attention_bias"], applies: isTrue, instead: "models without biases run", value: "false" },
  { path: ["model", "model_type"], applies: not("llama"), instead: "`llama` runs", value: "llama" },
  { path: ["device"], applies: (value) => value === "cuda", instead: "`auto` and `cpu` run", value: "auto" },
  { path: ["lora_modules_to_save"], applies: not(null), instead: "only the adapter is trained and saved" },
  { path: ["embedding_init"], instead: "the model must have every token of the tokenizer" },
  { path: ["judge"], instead: "a run is watched by its losses" },
];

const adaptedEnds = ["embed_tokens", "lm_head"];

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
  const modules = nodeAt(root, ["lora_target_modules"]);
  if (modules?.kind === "sequence") {
    for (const item of modules.items) {
      if (item.kind !== "scalar" || !adaptedEnds.includes(String(item.value))) continue;
      findings.push({
        rule: "not-yet-runnable",
        span: item.span,
        message: `The engine cannot carry out LoRA on \`${String(item.value)}\` yet (\`lora_target_modules\`); \`all-linear\` runs.`,
        fixes: [
          {
            title: "Replace the list with `all-linear`",
            edits: [{ span: modules.span, newText: "all-linear" }],
          },
        ],
      });
    }
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
