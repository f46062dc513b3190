import { button, progressRing } from "../controls/toolkit";
import { el } from "../elements";
import { t } from "../messages";

export interface NoticeAction {
  label: string;
  run(): void;
}

/** A skeleton is shown at once; that something is still going on is said after this many milliseconds. */
const progressDelay = 1000;

/** What stands in the charts' place while there are none: a skeleton, or a sentence with the one action that helps. */
export class Notice {
  readonly element = el("div", { class: "notice" });
  #key = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param message what is being waited for; said only when it takes long */
  showSkeleton(message: string): void {
    if (!this.#begin(`skeleton ${message}`)) return;
    const block = (className: string) => el("div", { class: `skeleton ${className}`, "aria-hidden": "true" });
    const status = el("div", { class: "waiting", role: "status" });
    this.element.append(
      status,
      el("div", { class: "upper" }, block("skeleton-loss"), block("skeleton-now")),
      el("div", { class: "small-charts" }, ...Array.from({ length: 4 }, () => block("skeleton-small"))),
    );
    this.#timer = setTimeout(
      () => status.append(progressRing(message), el("span", {}, message)),
      progressDelay,
    );
  }

  showMessage(title: string, message: string, action?: NoticeAction): void {
    if (!this.#begin(`message ${title} ${message}`)) return;
    this.element.append(
      el(
        "div",
        { class: "message", role: "status" },
        el("h2", {}, title),
        el("p", {}, message),
        ...(action === undefined ? [] : [button(action.label, "primary", action.run).element]),
      ),
    );
  }

  hide(): void {
    this.#begin("");
  }

  /** False: this is what is shown already. */
  #begin(key: string): boolean {
    if (key === this.#key) return false;
    this.#key = key;
    clearTimeout(this.#timer);
    this.element.replaceChildren();
    this.element.hidden = key === "";
    return true;
  }
}

/** Why the run failed or was interrupted, over charts that stay. */
export class Banner {
  readonly #text = el("p");
  readonly element: HTMLElement;

  constructor(openLog: () => void) {
    this.element = el(
      "div",
      { class: "banner", role: "alert" },
      this.#text,
      button(t("Open Log"), "secondary", openLog).element,
    );
    this.element.hidden = true;
  }

  show(kind: "error" | "warning", text: string): void {
    this.element.dataset.kind = kind;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.element.hidden = false;
  }

  hide(): void {
    this.element.hidden = true;
  }
}
