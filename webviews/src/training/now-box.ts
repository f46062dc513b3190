import { el, setText } from "../elements";
import { t } from "../messages";
import {
  formatBytes,
  formatCount,
  formatLearningRate,
  formatLoss,
  formatNumber,
  formatPercent,
  formatRate,
} from "./format";
import type { RunColumns } from "./run-columns";

/** The loss is compared with what it was this many points before. */
const trendPoints = 50;

/** The numbers of one step: the last, or the one under the cursor. */
export class NowBox {
  readonly #title = el("h2");
  readonly #trend = el("span", { class: "trend" });
  readonly #values = new Map<string, HTMLElement>();
  readonly element: HTMLElement;

  constructor() {
    const list = el("dl");
    const row = (key: string, label: string, ...extra: Node[]) => {
      const value = el("span", { class: "number" });
      this.#values.set(key, value);
      list.append(el("dt", {}, label), el("dd", {}, value, ...extra));
    };
    row("loss", t("loss"), this.#trend);
    row("smoothed", t("smoothed"));
    row("evaluation", t("evaluation"));
    row("learning_rate", t("learning rate"));
    row("grad_norm", t("gradient norm"));
    row("tokens_per_second", t("tokens/s"));
    row("memory_bytes", t("memory"));
    this.#trend.title = t("Change of the smoothed loss over the last {0} points", trendPoints);
    this.element = el("aside", { class: "now", "aria-label": t("Values") }, this.#title, list);
  }

  show(run: RunColumns, hovered: number | undefined): void {
    const index = hovered === undefined ? run.step.length - 1 : run.step.nearest(hovered);
    const step = run.step.at(index);
    const set = (key: string, text: string) => {
      const element = this.#values.get(key);
      if (element !== undefined) setText(element, text);
    };
    setText(
      this.#title,
      hovered === undefined ? t("Now") : t("Step {0}", Number.isNaN(step) ? "–" : formatCount(step)),
    );
    const loss = run.loss.at(index);
    set("loss", index >= 0 && !Number.isFinite(loss) ? t("not finite") : formatLoss(loss));
    set("smoothed", formatLoss(run.smoothed.at(index)));
    set("learning_rate", formatLearningRate(run.learning_rate.at(index)));
    set("grad_norm", formatNumber(run.grad_norm.at(index)));
    set("tokens_per_second", formatRate(run.tokens_per_second.at(index)));
    set("memory_bytes", formatBytes(run.memory_bytes.at(index)));
    // The last evaluation at or before the step.
    const evaluation =
      hovered === undefined || Number.isNaN(step)
        ? run.evaluation_step.length - 1
        : run.evaluation_step.lowerBound(step + 1) - 1;
    set("evaluation", formatLoss(run.evaluation_loss.at(evaluation)));

    const before = run.smoothed.at(Math.max(0, index - trendPoints));
    const change = (run.smoothed.at(index) - before) / before;
    const known = Number.isFinite(change) && index > 0;
    setText(this.#trend, known ? `${change <= 0 ? "↓" : "↑"} ${formatPercent(Math.abs(change))}` : "");
    this.#trend.classList.toggle("falling", known && change < 0);
  }
}
