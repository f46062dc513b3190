import type { PlanSummary } from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import { code, escaped } from "../markdown";
import type { Translate } from "../runs/run-text";

/** More trainable tensors than this are summed up in one line. */
const listedTensors = 200;

type Fact = [label: string, value: string];

const factsTable = (facts: readonly Fact[]): string =>
  ["| | |", "|:--|--:|", ...facts.map(([label, value]) => `| ${label} | ${value} |`)].join("\n");

function recomputed(what: PlanSummary["recompute"], t: Translate): string {
  switch (what) {
    case "none":
      return t("every activation is kept");
    case "selective":
      return t("activations of the MLP are computed again");
    case "full":
      return t("activations of every layer are computed again");
  }
}

/** A plan as a Markdown page: what training would do, then the resolved plan itself. */
export function planDocument(name: string, plan: PlanSummary, formats: Formats, t: Translate): string {
  const { count, percent, bytes } = formats;
  const share = plan.parameters > 0 ? plan.trainable_parameters / plan.parameters : 0;
  const facts: Fact[] = [
    [t("Stage"), code(plan.stage)],
    [t("Optimizer steps"), count(plan.steps)],
    [t("Rows"), count(plan.rows)],
    ...(plan.packs === undefined ? [] : ([[t("Packs of rows"), count(plan.packs)]] satisfies Fact[])),
    [t("Rows dropped"), count(plan.rows_dropped)],
    [t("Rows cut"), count(plan.rows_cut)],
    [t("Tokens per epoch"), count(plan.tokens_per_epoch)],
    [t("Tokens that carry loss"), percent(plan.supervised_share)],
    [t("Parameters"), count(plan.parameters)],
    [t("Trained parameters"), `${count(plan.trainable_parameters)} (${percent(share)})`],
    ["`gradient_checkpointing`", `${code(plan.recompute)}: ${recomputed(plan.recompute, t)}`],
    [t("Output directory"), code(plan.output_dir)],
  ];
  const memory: Fact[] = [
    [t("Weights"), bytes(plan.memory.weights)],
    [t("Gradients"), bytes(plan.memory.gradients)],
    [t("Optimizer state"), bytes(plan.memory.optimizer)],
    [t("Activations"), bytes(plan.memory.activations)],
    [t("Logits"), bytes(plan.memory.logits)],
    [t("The engine itself"), bytes(plan.memory.engine)],
    [`**${t("Together")}**`, `**${bytes(plan.memory_bytes)}**`],
  ];
  const tensors = plan.trainable
    .slice(0, listedTensors)
    .map(
      ({ name: tensor, shape, learning_rate }) =>
        `| ${code(tensor)} | ${shape.map(count).join(" × ")} | ${formats.learningRate(learning_rate)} |`,
    );
  const more = plan.trainable.length - listedTensors;
  return [
    `# ${t("Plan of {0}", escaped(name))}`,
    factsTable(facts),
    ...plan.warnings.map((warning) => `> ⚠ ${escaped(warning)}`),
    `## ${t("Memory (estimate)")}`,
    factsTable(memory),
    `## ${t("What is trained")}`,
    [`| ${t("Tensor")} | ${t("Shape")} | ${t("Learning rate")} |`, "|:--|--:|--:|", ...tensors].join("\n"),
    ...(more > 0 ? [t("… and {0} more.", count(more))] : []),
    `## ${t("Resolved plan")}`,
    `\`\`\`json\n${JSON.stringify(plan.plan, null, 2)}\n\`\`\``,
    "",
  ].join("\n\n");
}
