import type { FindingFix } from "../../text/span";
import { nodeAt, spanOf } from "../key-path";
import type { YamlNode } from "../yaml-tree";
import type { OptionReport } from "./report";

/** LoRA, quantisation below it, and what is trained whole beside it. */
export function adapterOptions(report: OptionReport): void {
  if (!report.config.use_peft) withoutAdapter(report);
  else {
    trainedTwice(report);
    untrainedEmbedding(report);
  }
  if (report.config.load_in_4bit) return;
  for (const key of ["bnb_4bit_quant_type", "use_bnb_nested_quant"]) {
    if (report.has(key)) {
      report.incompatible(
        key,
        `Without \`load_in_4bit: true\` nothing is quantised and \`${key}\` is ignored.`,
      );
    }
  }
}

const loraKeys = [
  "lora_r",
  "lora_alpha",
  "lora_dropout",
  "lora_target_modules",
  "lora_modules_to_save",
  "use_rslora",
];

function withoutAdapter(report: OptionReport): void {
  if (report.config.load_in_4bit) {
    report.add({
      rule: "incompatible-options",
      span: spanOf(report.root, ["load_in_4bit"], "key"),
      message:
        "Weights in 4 bits cannot be trained: `load_in_4bit` needs `use_peft: true`, which trains an adapter on them.",
      fixes: report.switchOn("use_peft", "load_in_4bit"),
    });
  }
  const first = loraKeys.find((key) => report.has(key));
  if (first) {
    report.add({
      rule: "incompatible-options",
      span: spanOf(report.root, [first], "key"),
      message: `Without \`use_peft: true\` every weight is trained and \`${first}\` is ignored.`,
      fixes: report.switchOn("use_peft", first),
    });
  }
  if (report.has("dtype") && report.config.dtype === "bfloat16") {
    report.incompatible(
      "dtype",
      "Without `use_peft: true` every weight is trained, in float32; `dtype` says how frozen weights are kept and is ignored.",
    );
  }
}

/** A module cannot have an adapter and be trained whole. */
function trainedTwice(report: OptionReport): void {
  const { lora_modules_to_save: whole = [], lora_target_modules: targets } = report.config;
  for (const [index, module] of whole.entries()) {
    if (targets === "all-linear" || !targets.some((target) => target === module)) continue;
    report.unfitting(
      ["lora_modules_to_save", index],
      `\`${module}\` is in \`lora_target_modules\` too: it gets an adapter, or is trained whole, not both. Remove one.`,
    );
  }
}

function untrainedEmbedding(report: OptionReport): void {
  const { lora_modules_to_save: whole = [], lora_target_modules: targets } = report.config;
  const trained: readonly string[] = [...whole, ...(targets === "all-linear" ? [] : targets)];
  if (!report.has("embedding_learning_rate")) return;
  if (trained.includes("embed_tokens") || trained.includes("lm_head")) return;
  report.incompatible(
    "embedding_learning_rate",
    "Neither `embed_tokens` nor `lm_head` is trained, so `embedding_learning_rate` is ignored. Name them in `lora_target_modules` or `lora_modules_to_save`.",
  );
}

const ends = ["embed_tokens", "lm_head"] as const;
const isEnd = (name: string) => (ends as readonly string[]).includes(name);

/**
 * Embedding and LM head of a tied model are one matrix: whichever is named, both are trained, as PEFT's
 * `ensure_weight_tying` has it.
 * @param modelName as messages call it
 */
export function tiedEndOptions(report: OptionReport, modelName: string): void {
  if (!report.config.use_peft) return;
  const { lora_modules_to_save: whole = [], lora_target_modules: targets } = report.config;
  const adapted = targets === "all-linear" ? [] : targets;
  const savedEnd = whole.findIndex((name) => name !== "norm");
  if (
    savedEnd >= 0 &&
    adapted.some((name) => isEnd(name)) &&
    !adapted.some((name) => name === whole[savedEnd])
  ) {
    report.unfitting(
      ["lora_modules_to_save", savedEnd],
      `${modelName} ties \`embed_tokens\` and \`lm_head\`: one matrix cannot get an adapter at one end and be trained whole at the other.`,
    );
    return;
  }
  const lists = { lora_target_modules: adapted, lora_modules_to_save: whole };
  for (const [key, listed] of Object.entries(lists) as [string, readonly string[]][]) {
    const named = ends.filter((end) => listed.includes(end));
    const [one] = named;
    if (one === undefined || named.length === 2) continue;
    const other = one === "embed_tokens" ? "lm_head" : "embed_tokens";
    const at = listed.indexOf(one);
    const node = nodeAt(report.root, [key]);
    const fixes = node?.kind === "sequence" ? beside(report.text, node.items[at], other) : [];
    report.add({
      rule: "tied-embeddings-adapted",
      span: spanOf(report.root, [key, at], "value"),
      message: `${modelName} ties \`embed_tokens\` and \`lm_head\`: they are one matrix, so \`${other}\` is trained with \`${one}\`, sharing what is learnt. Name both.`,
      fixes,
    });
  }
}

/** Names another module right after one, in the list's own style. */
function beside(text: string, item: YamlNode | undefined, other: string): FindingFix[] {
  if (!item) return [];
  const line = text.slice(text.lastIndexOf("\n", item.span.start - 1) + 1, item.span.start);
  const isBlock = /^\s*-\s+$/.test(line);
  const newText = isBlock ? `\n${line}${other}` : `, ${other}`;
  const span = { start: item.span.end, end: item.span.end };
  return [{ title: `Add \`${other}\``, edits: [{ span, newText }] }];
}
