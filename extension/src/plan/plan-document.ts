import type { PlanSummary } from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import type { Translate } from "../runs/run-text";

/** More trainable tensors than this are summed up in one line. */
const listedTensors = 200;

const cell = (text: string): string => text.replace(/\|/g, "\\|");

/** A plan as a Markdown page: what training would do, then the resolved plan itself. */
export function planDocument(name: string, plan: PlanSummary, formats: Formats, t: Translate): string {
  const { count, percent, bytes } = formats;
  const share = plan.parameters > 0 ? plan.trainable_parameters / plan.parameters : 0;
  const facts: [string, string][] = [
    [t("Stage"), `\`${plan.stage}\``],
    [t("Optimizer steps"), count(plan.steps)],
    [t("Rows"), count(plan.rows)],
    [t("Rows dropped"), count(plan.rows_dropped)],
    [t("Rows cut"), count(plan.rows_cut)],
    [t("Tokens per epoch"), count(plan.tokens_per_epoch)],
    [t("Tokens that carry loss"), percent(plan.supervised_share)],
    [t("Parameters"), count(plan.parameters)],
    [t("Trained parameters"), `${count(plan.trainable_parameters)} (${percent(share)})`],
    [t("Memory (estimate)"), bytes(plan.memory_bytes)],
    [t("Output directory"), `\`${plan.output_dir}\``],
  ];
  const tensors = plan.trainable
    .slice(0, listedTensors)
    .map(
      ({ name: tensor, shape, learning_rate }) =>
        `| \`${cell(tensor)}\` | ${shape.map(count).join(" × ")} | ${formats.learningRate(learning_rate)} |`,
    );
  const more = plan.trainable.length - listedTensors;
  return [
    `# ${t("Plan of {0}", name)}`,
    [`| | |`, `|:--|--:|`, ...facts.map(([label, value]) => `| ${label} | ${cell(value)} |`)].join("\n"),
    `## ${t("What is trained")}`,
    [`| ${t("Tensor")} | ${t("Shape")} | ${t("Learning rate")} |`, "|:--|--:|--:|", ...tensors].join("\n"),
    ...(more > 0 ? [t("… and {0} more.", count(more))] : []),
    `## ${t("Resolved plan")}`,
    `\`\`\`json\n${JSON.stringify(plan.plan, null, 2)}\n\`\`\``,
    "",
  ].join("\n\n");
}
