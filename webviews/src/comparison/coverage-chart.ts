import uPlot from "uplot";
import { coverageSteps } from "../../../language-server/src/protocol";
import { el } from "../elements";
import { t } from "../messages";
import { palette } from "../palette";
import { formatShare } from "./format";

const height = 150;
/** One character at most in a token that it has to itself. */
const wholeSteps = coverageSteps.filter((bound) => bound <= 1).length;

const labels = (): string[] =>
  coverageSteps.map((bound, step) => {
    if (step === coverageSteps.length - 1) return `>${coverageSteps[step - 1]}`;
    return bound === 0.25 ? "≤¼" : bound === 0.5 ? "½" : bound === 0.75 ? "¾" : String(bound);
  });

/** How much of the corpus takes how many tokens for a character: to the left is short, to the right long. */
export class CoverageChart {
  readonly #plotElement = el("div", { class: "chart-plot" });
  readonly element: HTMLElement;
  #plot: uPlot | undefined;

  constructor(
    name: string,
    private readonly coverage: readonly number[],
    private readonly color: string,
  ) {
    const whole = coverage.slice(0, wholeSteps).reduce((sum, share) => sum + share, 0);
    const said = t("{0} in one token or less", formatShare(whole, 1));
    this.element = el(
      "section",
      { class: "chart", role: "img", "aria-label": `${name}: ${said}` },
      el("header", {}, el("h3", {}, name), el("span", { class: "chart-value" }, said)),
      this.#plotElement,
    );
  }

  /** Draws it in the width that it has now. */
  draw(): void {
    const width = Math.floor(this.#plotElement.clientWidth);
    if (width === 0) return;
    this.#plot?.destroy();
    const { muted, font, foreground } = palette();
    const names = labels();
    const bars = uPlot.paths.bars?.({ size: [0.7, 60] });
    const axis = { stroke: muted, font, ticks: { show: false } };
    const label = (value: number) => (Number.isInteger(value) ? (names[value] ?? "") : "");
    this.#plot = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false, range: [-0.6, coverageSteps.length - 0.4] },
          y: { range: [0, 1] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            splits: names.map((_, index) => index),
            values: (_, splits) => splits.map(label),
            size: 24,
          },
          {
            ...axis,
            grid: { stroke: `${foreground}22`, width: 1 },
            splits: [0, 0.5, 1],
            values: (_, splits) => splits.map((value) => formatShare(value, 1)),
            size: 44,
          },
        ],
        series: [
          {},
          {
            fill: this.color,
            stroke: this.color,
            width: 0,
            ...(bars ? { paths: bars } : {}),
            points: { show: false },
          },
        ],
      },
      [names.map((_, index) => index), [...this.coverage]],
      this.#plotElement,
    );
  }
}
