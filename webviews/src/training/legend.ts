import { el, setText } from "../elements";
import { t } from "../messages";
import { ChartGroup } from "./chart-group";
import { formatCount } from "./format";
import type { RunColumns } from "./run-columns";

/** Says what the lines and marks of the loss chart are; marks are named only where there are any. */
export class Legend {
  readonly element = el("div", { class: "legend" });
  readonly #items: { sample: HTMLElement; item: HTMLElement; text: HTMLElement; kind: string }[] = [];

  constructor() {
    for (const kind of ["raw", "smoothed", "evaluation", "checkpoint", "spike", "not-finite"]) {
      const sample = el("span", { class: `sample sample-${kind}`, "aria-hidden": "true" });
      const text = el("span");
      const item = el("span", { class: "legend-item" }, sample, text);
      this.element.append(item);
      this.#items.push({ sample, item, text, kind });
    }
  }

  show(runs: readonly RunColumns[]): void {
    const [run] = runs;
    const several = runs.length > 1;
    const train = ChartGroup.colorOf(0);
    const evaluation = several ? train : ChartGroup.colorOf(1);
    const spikes = run?.spikes ?? [];
    const notFinite = run?.notFinite ?? [];
    for (const { sample, item, text, kind } of this.#items) {
      switch (kind) {
        case "raw":
          sample.style.borderColor = train;
          setText(text, t("each step"));
          break;
        case "smoothed":
          sample.style.borderColor = train;
          setText(text, t("smoothed"));
          break;
        case "evaluation":
          sample.style.borderColor = evaluation;
          setText(text, t("evaluation"));
          item.hidden = runs.every(({ evaluation_step }) => evaluation_step.length === 0);
          break;
        case "checkpoint":
          setText(text, t("checkpoint"));
          item.hidden = (run?.checkpoint_step.length ?? 0) === 0;
          break;
        case "spike":
          setText(text, t("spike at step {0}", stepList(spikes)));
          item.hidden = spikes.length === 0;
          break;
        case "not-finite":
          setText(text, t("not finite at step {0}", stepList(notFinite)));
          item.hidden = notFinite.length === 0;
          break;
      }
    }
  }
}

/** The last few steps of a list. */
function stepList(steps: readonly number[]): string {
  const shown = steps.slice(-3).map(formatCount).join(", ");
  return steps.length > 3 ? `…, ${shown}` : shown;
}
