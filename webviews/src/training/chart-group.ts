import { el, setText } from "../elements";
import { t } from "../messages";
import { palette } from "../palette";
import { Chart, type ChartLine } from "./chart";
import {
  type AxisNotation,
  formatBytes,
  formatCount,
  formatLearningRate,
  formatLoss,
  formatNumber,
  formatRate,
} from "./format";
import type { RunColumns, StepColumn } from "./run-columns";

export interface ChartGroupListener {
  /** The step under the cursor; undefined when there is none. */
  onHover(step: number | undefined): void;
  /** The zoom has changed and is to be remembered; undefined: everything is shown. */
  onView(view: [number, number] | undefined): void;
}

const steps = { pan: 0.1, zoom: 0.5, leap: 10 };
/** Zooming in ends at this many steps. */
const narrowest = 4;

/** The panel's charts: one zoom, one cursor and one keyboard for all of them. */
export class ChartGroup {
  readonly loss: Chart;
  readonly small: readonly Chart[];
  readonly element: HTMLElement;
  readonly smallElement: HTMLElement;
  readonly #live = el("div", { class: "visually-hidden", "aria-live": "polite" });
  readonly #charts: readonly Chart[];
  readonly #smallColumns: readonly { column: StepColumn; format(value: number): string }[];
  /** The shown runs, the panel's own first. */
  #runs: readonly RunColumns[] = [];
  #view: [number, number] | undefined;
  #hovered: number | undefined;
  #frame = 0;

  constructor(private readonly listener: ChartGroupListener) {
    const shared = {
      view: () => this.#range(),
      onHover: (step: number | undefined) => this.#hover(step),
      onZoom: (from: number, to: number) => this.setView([from, to]),
      onReset: () => this.setView(undefined),
    };
    this.loss = new Chart({
      ...shared,
      title: t("Loss"),
      notation: "plain",
      height: 300,
      axisWidth: 52,
    });
    const small = (title: string, notation: AxisNotation) =>
      new Chart({ ...shared, title, notation, height: 130, axisWidth: 64 });
    this.small = [
      small(t("Learning rate"), "exponential"),
      small(t("Gradient norm"), "plain"),
      small(t("Tokens per second"), "compact"),
      small(t("Memory"), "bytes"),
    ];
    this.#smallColumns = [
      { column: "learning_rate", format: formatLearningRate },
      { column: "grad_norm", format: formatNumber },
      { column: "tokens_per_second", format: formatRate },
      { column: "memory_bytes", format: formatBytes },
    ];
    this.#charts = [this.loss, ...this.small];
    this.element = el("div", { class: "loss-chart" }, this.loss.element, this.#live);
    this.smallElement = el("div", { class: "small-charts" }, ...this.small.map(({ element }) => element));
    for (const chart of this.#charts) this.#listenToKeys(chart);
    const observer = new ResizeObserver(() => {
      for (const chart of this.#charts) chart.resize();
    });
    for (const chart of this.#charts) observer.observe(chart.element);
  }

  /** The zoom; undefined when everything is shown. */
  get view(): [number, number] | undefined {
    return this.#view;
  }

  get hovered(): number | undefined {
    return this.#hovered;
  }

  setRuns(runs: readonly RunColumns[]): void {
    this.#runs = runs;
    const several = runs.length > 1;
    // The panel's own run is drawn last, over the others.
    const lines = (line: (run: RunColumns, color: number) => ChartLine) => runs.map(line).reverse();
    this.loss.setLines([
      ...lines((run, color) => ({ x: run.step, y: run.loss, color, look: "raw" })),
      ...lines((run, color) => ({ x: run.step, y: run.smoothed, color, look: "smoothed" })),
      ...lines((run, color) => ({
        x: run.evaluation_step,
        y: run.evaluation_loss,
        // With one run, evaluation can have a colour of its own; with several the colour tells the run.
        color: several ? color : 1,
        look: "evaluation",
      })),
    ]);
    for (const [index, { column }] of this.#smallColumns.entries()) {
      this.small[index]?.setLines(
        lines((run, color) => ({ x: run.step, y: run[column], color, look: "plain" })),
      );
    }
    this.redraw();
  }

  setView(view: [number, number] | undefined): void {
    const { from, to } = this.#extent();
    if (view !== undefined) {
      const width = Math.min(to - from, Math.max(narrowest, view[1] - view[0]));
      const left = Math.min(Math.max(view[0], from), to - width);
      this.#view = width >= to - from ? undefined : [left, left + width];
    } else {
      this.#view = undefined;
    }
    this.listener.onView(this.#view);
    this.redraw();
  }

  setLogarithmic(logarithmic: boolean): void {
    this.loss.setLogarithmic(logarithmic);
    this.redraw();
  }

  recolor(): void {
    for (const chart of this.#charts) chart.recolor();
    this.redraw();
  }

  /** Draws in the next frame, however often it is asked for. */
  redraw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** What the charts say of a step, in one line for screen readers. */
  describe(step: number | undefined): string {
    const [run] = this.#runs;
    if (run === undefined || run.isEmpty) return t("no points yet");
    if (run.step.length === 0) {
      return [
        t("Step {0}", formatCount(run.evaluation_step.last)),
        `${t("evaluation")} ${formatLoss(run.evaluation_loss.last)}`,
      ].join(", ");
    }
    const index = step === undefined ? run.step.length - 1 : run.step.nearest(step);
    const values = this.#smallColumns.map(
      ({ column, format }, at) => `${this.small[at]?.title ?? ""} ${format(run[column].at(index))}`,
    );
    return [
      t("Step {0}", formatCount(run.step.at(index))),
      `${t("Loss")} ${formatLoss(run.loss.at(index))}`,
      ...values,
    ].join(", ");
  }

  #draw(): void {
    const [run] = this.#runs;
    this.loss.setMarks({
      checkpoints: run === undefined ? [] : [...run.checkpoint_step.values()],
      notFinite: run?.notFinite ?? [],
      spikes: run?.spikes ?? [],
    });
    for (const chart of this.#charts) chart.update();
    this.#showCursors();
    this.#showValues();
  }

  #showValues(): void {
    const [run] = this.#runs;
    if (run === undefined) return;
    const index = this.#hovered === undefined ? run.step.length - 1 : run.step.nearest(this.#hovered);
    for (const [at, { column, format }] of this.#smallColumns.entries()) {
      this.small[at]?.setValue(format(run[column].at(index)));
    }
  }

  #hover(step: number | undefined): void {
    // The cursor stands on a logged step, not between two.
    const [run] = this.#runs;
    const nearest = step === undefined || run === undefined ? undefined : run.step.at(run.step.nearest(step));
    const hovered = nearest === undefined || Number.isNaN(nearest) ? undefined : nearest;
    if (hovered === this.#hovered && hovered !== undefined) return;
    this.#hovered = hovered;
    this.#showCursors();
    this.#showValues();
    this.listener.onHover(hovered);
  }

  #showCursors(): void {
    for (const chart of this.#charts) chart.showCursor(this.#hovered);
  }

  /** From the first to the last step of anything that is shown. */
  #extent(): { from: number; to: number } {
    let from = Number.POSITIVE_INFINITY;
    let to = Number.NEGATIVE_INFINITY;
    for (const { step, evaluation_step } of this.#runs) {
      for (const column of [step, evaluation_step]) {
        if (column.length === 0) continue;
        from = Math.min(from, column.at(0));
        to = Math.max(to, column.last);
      }
    }
    if (from > to) return { from: 0, to: 1 };
    return from === to ? { from: Math.max(0, from - 1), to: to + 1 } : { from, to };
  }

  #range(): { from: number; to: number } {
    return this.#view === undefined ? this.#extent() : { from: this.#view[0], to: this.#view[1] };
  }

  #listenToKeys(chart: Chart): void {
    const { element } = chart;
    element.tabIndex = 0;
    element.setAttribute("role", "application");
    element.setAttribute("aria-roledescription", t("chart"));
    element.setAttribute("aria-label", chart.title);
    element.addEventListener("focus", () => {
      element.setAttribute(
        "aria-label",
        `${chart.title}. ${this.describe(this.#hovered)}. ${t(
          "Arrow keys move the cursor, Shift with arrow keys pans, plus and minus zoom, 0 shows everything.",
        )}`,
      );
    });
    element.addEventListener("blur", () => this.#hover(undefined));
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (!this.#onKey(event.key, event.shiftKey)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** Whether the key means something here. */
  #onKey(key: string, shift: boolean): boolean {
    const { from, to } = this.#range();
    const width = to - from;
    switch (key) {
      case "ArrowLeft":
      case "ArrowRight": {
        const direction = key === "ArrowLeft" ? -1 : 1;
        if (shift) {
          if (this.#view !== undefined)
            this.setView([from + direction * steps.pan * width, to + direction * steps.pan * width]);
        } else this.#moveCursor(direction);
        return true;
      }
      case "PageUp":
        this.#moveCursor(-steps.leap);
        return true;
      case "PageDown":
        this.#moveCursor(steps.leap);
        return true;
      case "Home":
        this.#moveCursor(Number.NEGATIVE_INFINITY);
        return true;
      case "End":
        this.#moveCursor(Number.POSITIVE_INFINITY);
        return true;
      case "+":
      case "=":
      case "-":
      case "_": {
        const inwards = key === "+" || key === "=";
        const next = inwards ? width * steps.zoom : width / steps.zoom;
        const centre = this.#hovered ?? (from + to) / 2;
        const share = width === 0 ? 0.5 : (centre - from) / width;
        this.setView([centre - share * next, centre + (1 - share) * next]);
        return true;
      }
      case "0":
        this.setView(undefined);
        return true;
      case "Escape":
        if (this.#hovered === undefined) return false;
        this.#hover(undefined);
        return true;
      default:
        return false;
    }
  }

  #moveCursor(by: number): void {
    const [run] = this.#runs;
    if (run === undefined || run.step.length === 0) return;
    const { from, to } = this.#range();
    const first = run.step.lowerBound(from);
    const last = Math.max(first, run.step.nearest(to));
    const start =
      this.#hovered === undefined ? (by < 0 ? last + 1 : first - 1) : run.step.nearest(this.#hovered);
    const index = Math.min(last, Math.max(first, start + by));
    this.#hover(run.step.at(index));
    setText(this.#live, this.describe(this.#hovered));
  }

  /** The colour that tells a run, for the list of runs. */
  static colorOf(index: number): string {
    const { runs, foreground } = palette();
    return runs[index % runs.length] ?? foreground;
  }
}
