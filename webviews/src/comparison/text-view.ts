import type { ComparedText, TextOrigin } from "../../../language-server/src/protocol";
import { button, checkbox, progressRing } from "../controls/toolkit";
import { el, setText } from "../elements";
import { t } from "../messages";
import { ColumnsTable } from "./columns-table";
import { figuresTable } from "./figures-table";
import { formatCount } from "./format";

export interface TextActions {
  more(first: number): void;
  retry(): void;
  showIds(shown: boolean): void;
}

/** A slow comparison is said to be going on only after this many milliseconds. */
const patience = 1_000;

/** The editor's text under the chosen tokenizers. */
export class TextView {
  readonly #title = el("h2");
  readonly #facts = el("span", { class: "muted number" });
  readonly #waiting = el("span", { class: "waiting-inline", role: "status" });
  readonly #figures = el("div");
  readonly #columns = new ColumnsTable();
  readonly #more;
  readonly #shown = el("span", { class: "muted number" });
  readonly #content: HTMLElement;
  readonly #message = el("div");
  readonly element: HTMLElement;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasText = false;

  constructor(
    private readonly actions: TextActions,
    showsIds: boolean,
  ) {
    this.#more = button(t("Show More"), "secondary", () => {
      this.#more.setEnabled(false);
      actions.more(this.#columns.length);
    });
    const ids = checkbox(t("Show ids"), showsIds, (shown) => {
      this.#columns.element.classList.toggle("with-ids", shown);
      actions.showIds(shown);
    });
    this.#columns.element.classList.toggle("with-ids", showsIds);
    this.#content = el(
      "div",
      { class: "text-content" },
      el(
        "div",
        { class: "part-head" },
        this.#title,
        this.#facts,
        this.#waiting,
        el("div", { class: "buttons" }, ids.element),
      ),
      this.#figures,
      this.#columns.element,
      el("div", { class: "controls" }, this.#shown, this.#more.element),
    );
    this.element = el("div", { class: "text" }, this.#message, this.#content);
    this.#content.hidden = true;
  }

  showSkeleton(): void {
    const block = (name: string) => el("div", { class: `skeleton ${name}`, "aria-hidden": "true" });
    this.#message.replaceChildren(block("skeleton-figures"), block("skeleton-columns"));
    this.#content.hidden = true;
  }

  showNoText(): void {
    this.#settled();
    this.#hasText = false;
    this.#content.hidden = true;
    this.#message.replaceChildren(
      el(
        "div",
        { class: "message", role: "status" },
        el("h2", {}, t("No text to compare")),
        el(
          "p",
          {},
          t(
            "Open a text, select some of it, or put the cursor on a dataset's row: its tokens will be here, side by side.",
          ),
        ),
      ),
    );
  }

  /** What is shown stays until its successor is there. */
  showLoading({ name }: TextOrigin): void {
    clearTimeout(this.#timer);
    if (!this.#hasText) this.showSkeleton();
    this.#timer = setTimeout(() => {
      const words = t("Tokenising {0}…", name);
      const ring = progressRing(words);
      if (this.#hasText) this.#waiting.replaceChildren(ring, words);
      else this.#message.prepend(el("div", { class: "waiting-inline", role: "status" }, ring, words));
    }, patience);
  }

  show(origin: TextOrigin, { results, columns, column_count }: ComparedText, first: number): void {
    this.#settled();
    this.#hasText = true;
    this.#message.replaceChildren();
    this.#content.hidden = false;
    const usable = results.flatMap((result) => ("figures" in result ? [result] : []));
    if (first === 0) {
      setText(this.#title, origin.selection ? t("{0}, selection", origin.name) : origin.name);
      const size = usable[0]?.figures;
      setText(this.#facts, size === undefined ? "" : t("{0} characters", formatCount(size.characters)));
      this.#figures.replaceChildren(figuresTable(t("Figures of the text"), results));
      this.#columns.begin(usable.map(({ name }) => name));
    } else if (first !== this.#columns.length) return;
    this.#columns.append(columns);
    const { length } = this.#columns;
    const isAll = length >= column_count;
    setText(
      this.#shown,
      isAll ? "" : t("{0} of {1} stretches", formatCount(length), formatCount(column_count)),
    );
    this.#more.element.hidden = isAll;
    this.#more.setEnabled(true);
    this.#columns.element.hidden = column_count === 0;
  }

  showFailure({ name }: TextOrigin, message: string): void {
    this.#settled();
    this.#hasText = false;
    this.#content.hidden = true;
    this.#message.replaceChildren(
      el(
        "div",
        { class: "message", role: "alert" },
        el("h2", {}, t("{0} cannot be compared", name)),
        el("p", {}, message),
        button(t("Try Again"), "primary", () => this.actions.retry()).element,
      ),
    );
  }

  #settled(): void {
    clearTimeout(this.#timer);
    this.#waiting.replaceChildren();
  }
}
