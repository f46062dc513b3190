import type { RunSummary } from "../../../language-server/src/protocol";
import { type Checkbox, checkbox } from "../controls/toolkit";
import { el, setText } from "../elements";
import { t } from "../messages";
import { ChartGroup } from "./chart-group";
import { formatCount, formatLoss } from "./format";
import type { RunColumns } from "./run-columns";
import { stateName } from "./run-header";

interface Row {
  box: Checkbox;
  swatch: HTMLElement;
  state: HTMLElement;
  loss: HTMLElement;
  element: HTMLElement;
}

/** The runs that can be laid over the panel's own, each with its loss at the cursor. */
export class RunOverlay {
  readonly #list = el("ul");
  readonly element: HTMLElement;
  readonly #rows = new Map<string, Row>();
  /** So many can be chosen at a time. */
  limit = Number.POSITIVE_INFINITY;

  constructor(private readonly onChange: (overlay: string[]) => void) {
    this.element = el("section", { class: "overlay" }, el("h2", {}, t("Runs")), this.#list);
  }

  /** @param shown the runs in the charts, the panel's own first */
  show(available: readonly RunSummary[], shown: readonly RunColumns[], overlay: readonly string[]): void {
    const [primary] = shown;
    const listed = [
      ...(primary === undefined ? [] : [primary.summary]),
      ...available.filter(({ run }) => run !== primary?.summary.run),
    ];
    for (const [run, row] of this.#rows) {
      if (listed.some((summary) => summary.run === run)) continue;
      row.element.remove();
      this.#rows.delete(run);
    }
    for (const [index, summary] of listed.entries()) {
      const row = this.#rows.get(summary.run) ?? this.#makeRow(summary);
      if (this.#list.children[index] !== row.element) {
        this.#list.insertBefore(row.element, this.#list.children[index] ?? null);
      }
      const isPrimary = summary.run === primary?.summary.run;
      const color = shown.findIndex((columns) => columns.summary.run === summary.run);
      row.box.setChecked(isPrimary || overlay.includes(summary.run));
      const full = overlay.length >= this.limit && !overlay.includes(summary.run);
      row.box.element.toggleAttribute("disabled", isPrimary || full);
      row.element.title =
        full && !isPrimary
          ? t("{0} runs at most can be laid over this one; untick another first.", formatCount(this.limit))
          : summary.config;
      row.swatch.hidden = color === -1;
      row.swatch.style.backgroundColor = ChartGroup.colorOf(Math.max(0, color));
      setText(row.state, stateName(summary.state));
    }
  }

  showValues(shown: readonly RunColumns[], hovered: number | undefined): void {
    for (const [run, row] of this.#rows) {
      const columns = shown.find(({ summary }) => summary.run === run);
      const index =
        columns === undefined || hovered === undefined
          ? (columns?.step.length ?? 0) - 1
          : columns.step.nearest(hovered);
      // Beyond a run's end there is no value of it.
      const beyond = hovered !== undefined && columns !== undefined && hovered > columns.lastStep;
      setText(row.loss, columns === undefined || beyond ? "" : formatLoss(columns.loss.at(index)));
    }
  }

  #makeRow({ run, name }: RunSummary): Row {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    const state = el("span", { class: "muted" });
    const loss = el("span", { class: "number" });
    const box = checkbox(name, false, () =>
      this.onChange([...this.#rows].filter(([, row]) => row.box.checked).map(([each]) => each)),
    );
    const element = el("li", {}, box.element, swatch, state, loss);
    this.#list.append(element);
    const row = { box, swatch, state, loss, element };
    this.#rows.set(run, row);
    return row;
  }
}
