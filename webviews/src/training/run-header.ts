import type { RunState, RunSummary } from "../../../language-server/src/protocol";
import { button } from "../controls/toolkit";
import { el, setText } from "../elements";
import { t } from "../messages";
import { formatCount, formatDuration } from "./format";

export interface RunActions {
  stop(): void;
  resume(): void;
  openLog(): void;
  openConfig(): void;
}

export function stateName(state: RunState): string {
  switch (state) {
    case "preparing":
      return t("preparing");
    case "running":
      return t("running");
    case "finished":
      return t("finished");
    case "stopped":
      return t("stopped");
    case "failed":
      return t("failed");
    case "interrupted":
      return t("interrupted");
  }
}

/** Name, state, step and time left of the panel's run, and what can be done with it. */
export class RunHeader {
  readonly #name = el("h1");
  readonly #dot = el("span", { class: "state-dot", "aria-hidden": "true" });
  readonly #state = el("span", { class: "state-name" });
  readonly #step = el("span");
  readonly #time = el("span");
  readonly #bar = el("div", { class: "progress-bar" });
  readonly #progress = el(
    "div",
    { class: "progress", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" },
    this.#bar,
  );
  readonly #stop;
  readonly #resume;
  readonly element: HTMLElement;
  /** Set when Stop was pressed, until the run has ended. */
  #stopping = false;

  constructor(actions: RunActions) {
    this.#stop = button(t("Stop"), "primary", () => {
      this.#stopping = true;
      this.#stop.setLabel(t("Stopping…"));
      this.#stop.setEnabled(false);
      actions.stop();
    });
    this.#resume = button(t("Resume"), "primary", actions.resume);
    const buttons = el(
      "div",
      { class: "buttons" },
      this.#stop.element,
      this.#resume.element,
      button(t("Log"), "secondary", actions.openLog).element,
      button(t("Config"), "secondary", actions.openConfig).element,
    );
    this.#progress.setAttribute("aria-label", t("Progress"));
    this.element = el(
      "header",
      { class: "run-header" },
      this.#name,
      el("span", { class: "state" }, this.#dot, this.#state),
      el("span", { class: "facts" }, this.#step, this.#time),
      buttons,
      this.#progress,
    );
  }

  /** Stop may be pressed again. */
  stopRefused(): void {
    this.#stopping = false;
    this.#stop.setLabel(t("Stop"));
    this.#stop.setEnabled(true);
  }

  show(summary: RunSummary): void {
    const active = summary.state === "preparing" || summary.state === "running";
    setText(this.#name, summary.name);
    setText(this.#state, stateName(summary.state));
    this.#dot.dataset.state = summary.state;
    setText(
      this.#step,
      summary.steps > 0
        ? t("step {0}/{1}", formatCount(summary.step), formatCount(summary.steps))
        : summary.state === "preparing"
          ? ""
          : t("step {0}", formatCount(summary.step)),
    );
    setText(this.#time, timeText(summary));
    this.element.classList.toggle("is-active", active);

    if (!active) this.#stopping = false;
    this.#stop.element.hidden = !active;
    this.#stop.setLabel(this.#stopping ? t("Stopping…") : t("Stop"));
    this.#stop.setEnabled(!this.#stopping);
    this.#resume.element.hidden = active || summary.state === "finished" || !summary.resumable;

    const share = summary.steps > 0 ? Math.min(1, summary.step / summary.steps) : 0;
    this.#progress.hidden = !active;
    this.#progress.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    this.#bar.style.width = `${share * 100}%`;
  }
}

function timeText(summary: RunSummary): string {
  if (summary.eta_seconds !== undefined) return t("about {0} left", formatDuration(summary.eta_seconds));
  if (summary.ended === undefined) return "";
  const seconds = (Date.parse(summary.ended) - Date.parse(summary.started)) / 1000;
  return Number.isFinite(seconds) ? t("took {0}", formatDuration(seconds)) : "";
}
