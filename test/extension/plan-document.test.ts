import { expect, test } from "vitest";
import { formatsFor } from "../../extension/src/format";
import { planDocument } from "../../extension/src/plan/plan-document";
import type { PlanSummary } from "../../language-server/src/protocol";

const t = (message: string, ...args: (string | number)[]) =>
  message.replace(/\{(\d+)\}/g, (_, index) => String(args[index]));

const plan: PlanSummary = {
  config: "/project/sft.ziptie.yaml",
  stage: "sft",
  steps: 3120,
  steps_per_epoch: 624,
  tokens_per_epoch: 1_200_000,
  supervised_share: 0.7,
  rows: 5000,
  rows_dropped: 2,
  rows_cut: 1,
  recompute: "selective",
  dropped: [],
  memory_bytes: 11_200_000_000,
  memory: {
    weights: 7_000_000_000,
    gradients: 1_000_000_000,
    optimizer: 2_000_000_000,
    activations: 1_000_000_000,
    logits: 180_000_000,
    engine: 20_000_000,
  },
  trainable_parameters: 10,
  parameters: 100,
  trainable: [{ name: "a|b", shape: [4, 2], learning_rate: 1e-4 }],
  output_dir: "/project/runs",
  warnings: ["/data/my_rows*.jsonl: 2 of 5,000 rows not used: they are empty."],
  plan: { version: 1 },
};
const page = (changes: Partial<PlanSummary> = {}) =>
  planDocument("sft.ziptie.yaml", { ...plan, ...changes }, formatsFor("en"), t);
/** The rows of every table, without their marks. */
const rows = (text: string) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) => line.slice(2, -2));

test("memory is told by its parts, and together", () => {
  expect(rows(page())).toEqual(
    expect.arrayContaining([
      "Weights | 7 GB",
      "Gradients | 1 GB",
      "Optimizer state | 2 GB",
      "Activations | 1 GB",
      "Logits | 180 MB",
      "The engine itself | 20 MB",
      "**Together** | **11.2 GB**",
    ]),
  );
});

test.each([
  ["none", "every activation is kept"],
  ["selective", "activations of the MLP are computed again"],
  ["full", "activations of every layer are computed again"],
] as const)("what is computed again is told: %s", (recompute, words) => {
  expect(rows(page({ recompute }))).toContain(`\`gradient_checkpointing\` | \`${recompute}\`: ${words}`);
});

test("packs are told where rows are packed, and only there", () => {
  expect(rows(page({ packs: 1234 }))).toContain("Packs of rows | 1,234");
  expect(page()).not.toContain("Packs");
});

test("warnings are told, and no name is taken for Markdown", () => {
  expect(page()).toContain("> ⚠ /data/my\\_rows\\*\\.jsonl: 2 of 5,000 rows not used: they are empty\\.");
  expect(rows(page())).toContain("`a\\|b` | 4 × 2 | 1e-4");
});
