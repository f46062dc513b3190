import type { ComparedCorpus, CoveredCharacter } from "../../../language-server/src/protocol";
import { button, progressRing } from "../controls/toolkit";
import { el } from "../elements";
import { t } from "../messages";
import { CoverageChart } from "./coverage-chart";
import { colorOf, figuresTable } from "./figures-table";
import { formatBytes, formatCount, formatDecimal, formatSeconds, formatShare } from "./format";

export interface CorpusActions {
  choose(kind: "file" | "folder"): void;
  repeat(): void;
  cancel(): void;
  save(table: "figures" | "characters"): void;
  copy(text: string): void;
}

/** Characters that are listed for each tokenizer. */
const listed = 20;

/** A corpus under the chosen tokenizers: nothing yet, being read, compared, given up, or why not. */
export class CorpusView {
  readonly #controls: HTMLElement;
  readonly #content = el("div", { class: "corpus-content" });
  readonly element: HTMLElement;
  readonly #repeat;
  #charts: CoverageChart[] = [];
  #progress: { bar: HTMLElement; text: HTMLElement; started: number; element: HTMLElement } | undefined;
  #compared: { name: string; comparison: ComparedCorpus } | undefined;

  constructor(private readonly actions: CorpusActions) {
    this.#repeat = button(t("Compare Again"), "secondary", () => actions.repeat());
    this.#repeat.element.hidden = true;
    this.#controls = el(
      "div",
      { class: "controls" },
      button(t("Choose Files…"), "primary", () => actions.choose("file")).element,
      button(t("Choose Folder…"), "secondary", () => actions.choose("folder")).element,
      this.#repeat.element,
    );
    this.element = el("div", { class: "corpus" }, this.#controls, this.#content);
    this.showEmpty();
  }

  showEmpty(): void {
    this.#say(
      t("No corpus compared yet"),
      t(
        "Choose texts, a treebank (CoNLL-U), a table of word counts and texts (TSV) or datasets, to see what each tokenizer makes of them.",
      ),
    );
  }

  showProgress(name: string, read: number, total: number, texts: number): void {
    this.#repeat.element.hidden = true;
    if (this.#progress === undefined) {
      const bar = el("div", { class: "progress-bar" });
      const text = el("span", { class: "progress-text number" });
      const track = el("div", {
        class: "progress-track",
        role: "progressbar",
        "aria-label": t("Reading {0}", name),
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      });
      track.append(bar);
      const cancel = button(t("Cancel"), "secondary", () => {
        cancel.setEnabled(false);
        this.actions.cancel();
      });
      const element = el(
        "div",
        { class: "corpus-progress", role: "status" },
        progressRing(t("Reading {0}", name)),
        el("div", { class: "progress-words" }, el("span", {}, t("Reading {0}", name)), text, track),
        cancel.element,
      );
      this.#progress = { bar, text, started: Date.now(), element };
      this.#charts = [];
      this.#content.replaceChildren(element);
    }
    const { bar, text, started, element } = this.#progress;
    const share = total === 0 ? 0 : read / total;
    bar.style.width = `${100 * share}%`;
    element
      .querySelector("[role=progressbar]")
      ?.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    if (total === 0) {
      text.textContent = t("Loading the tokenizers…");
      return;
    }
    const elapsed = (Date.now() - started) / 1000;
    const parts = [
      t("{0} of {1}", formatBytes(read), formatBytes(total)),
      t("{0} texts", formatCount(texts)),
    ];
    if (share > 0.05 && elapsed > 2) {
      parts.push(t("about {0} left", formatSeconds((elapsed / share) * (1 - share))));
    }
    text.textContent = parts.join(" · ");
  }

  showCancelled(name: string): void {
    this.#end();
    this.#say(t("Cancelled"), t("{0} was not read to its end, so there is nothing to show of it.", name));
  }

  showFailure(name: string, message: string): void {
    this.#end();
    this.#say(t("{0} cannot be compared", name), message, "alert");
  }

  show(name: string, comparison: ComparedCorpus): void {
    this.#end();
    this.#compared = { name, comparison };
    const { results, texts, seconds, csv } = comparison;
    const size = results[0]?.figures;
    const words = size?.words ?? null;
    const facts = [
      t("{0} texts", formatCount(texts)),
      ...(size === undefined
        ? []
        : [t("{0} characters", formatCount(size.characters)), formatBytes(size.bytes)]),
      ...(words === null ? [] : [t("{0} gold words", formatCount(words))]),
      ...(seconds < 1 ? [] : [formatSeconds(seconds)]),
    ];
    this.#charts = results.map(
      (result, index) => new CoverageChart(result.name, result.coverage, colorOf(index)),
    );
    this.#content.replaceChildren(
      el(
        "div",
        { class: "part-head" },
        el("h2", {}, name),
        el("span", { class: "muted number" }, facts.join(" · ")),
        el(
          "div",
          { class: "buttons" },
          button(t("Copy CSV"), "secondary", () => this.actions.copy(csv.figures)).element,
          button(t("Save Figures…"), "secondary", () => this.actions.save("figures")).element,
          button(t("Save Characters…"), "secondary", () => this.actions.save("characters")).element,
        ),
      ),
      figuresTable(t("Figures of the corpus"), results),
      el(
        "section",
        {},
        el("h2", {}, t("Tokens for a character")),
        el(
          "p",
          { class: "muted" },
          t(
            "Share of the corpus's characters by the tokens each takes; a token of several characters is shared among them.",
          ),
        ),
        el("div", { class: "coverage" }, ...this.#charts.map(({ element }) => element)),
      ),
      el(
        "section",
        {},
        el("h2", {}, t("Characters covered worst")),
        el("div", { class: "worst" }, ...results.map((result) => worstTable(result.name, result.worst))),
      ),
    );
    this.draw();
  }

  /** After a change of width or theme. */
  draw(): void {
    for (const chart of this.#charts) chart.draw();
  }

  /** Takes the theme's colours anew. */
  recolor(): void {
    if (this.#compared !== undefined && this.#progress === undefined && this.#charts.length > 0) {
      this.show(this.#compared.name, this.#compared.comparison);
    }
  }

  #end(): void {
    this.#progress = undefined;
    this.#charts = [];
    this.#repeat.element.hidden = false;
  }

  #say(title: string, message: string, role = "status"): void {
    this.#content.replaceChildren(
      el("div", { class: "message", role }, el("h2", {}, title), el("p", {}, message)),
    );
  }
}

function worstTable(name: string, worst: readonly CoveredCharacter[]): HTMLElement {
  const line = ({ character, count, tokens_per_character, unknown }: CoveredCharacter) => {
    const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
    return el(
      "tr",
      {},
      el("th", { scope: "row", class: "character", title: code }, /\s/.test(character) ? code : character),
      el("td", { class: "number" }, formatDecimal(tokens_per_character)),
      el("td", { class: "number" }, formatCount(count)),
      el("td", { class: "number" }, formatShare(unknown, count)),
    );
  };
  const head = [t("character"), t("tokens"), t("times"), t("unknown")].map((title, index) =>
    el("th", { scope: "col", class: index === 0 ? "" : "number" }, title),
  );
  return el(
    "table",
    { class: "worst-table" },
    el("caption", {}, name),
    el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...worst.slice(0, listed).map(line)),
  );
}
