import { button, checkbox } from "../controls/toolkit";
import { el, setText } from "../elements";
import { t } from "../messages";
import { formatNumber } from "./format";

export interface ChartToolbarActions {
  onSmoothing(smoothing: number): void;
  onLogarithmic(logarithmic: boolean): void;
  onReset(): void;
  onCopyCsv(): void;
  onSaveCsv(): void;
  onSavePng(): void;
}

/** What changes how the charts are drawn, and what takes them elsewhere. */
export class ChartToolbar {
  readonly element: HTMLElement;
  readonly #reset;

  constructor(smoothing: number, logarithmic: boolean, actions: ChartToolbarActions) {
    const slider = el("input", {
      type: "range",
      id: "smoothing",
      min: "0",
      max: "0.99",
      step: "0.01",
      value: String(smoothing),
    });
    const value = el("output", { for: "smoothing", class: "number" }, formatNumber(smoothing));
    slider.addEventListener("input", () => {
      setText(value, formatNumber(slider.valueAsNumber));
      actions.onSmoothing(slider.valueAsNumber);
    });
    this.#reset = button(t("Reset Zoom"), "secondary", actions.onReset);
    this.#reset.element.hidden = true;
    this.element = el(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": t("Chart options") },
      el("label", { for: "smoothing" }, t("Smoothing")),
      slider,
      value,
      checkbox(t("Log scale"), logarithmic, actions.onLogarithmic).element,
      el("span", { class: "spacer" }),
      this.#reset.element,
      el(
        "div",
        { class: "buttons" },
        button(t("Copy CSV"), "secondary", actions.onCopyCsv).element,
        button(t("Save CSV"), "secondary", actions.onSaveCsv).element,
        button(t("Save PNG"), "secondary", actions.onSavePng).element,
      ),
    );
  }

  showZoomed(zoomed: boolean): void {
    this.#reset.element.hidden = !zoomed;
  }
}
