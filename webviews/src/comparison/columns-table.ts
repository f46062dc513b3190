import type { ComparedColumn, ComparedToken } from "../../../language-server/src/protocol";
import { el } from "../elements";
import { t } from "../messages";
import { readable, visible } from "./token-text";

/** The text in stretches, one below the other, and beside each what every tokenizer makes of it. */
export class ColumnsTable {
  readonly #head = el("tr");
  readonly #body = el("tbody");
  readonly element = el(
    "div",
    {
      class: "table-scroll columns-scroll",
      tabindex: "0",
      role: "region",
      "aria-label": t("Aligned tokens"),
    },
    el("table", { class: "columns" }, el("thead", {}, this.#head), this.#body),
  );
  #rows = 0;

  get length(): number {
    return this.#rows;
  }

  /** @param names of the tokenizers that could be used */
  begin(names: readonly string[]): void {
    this.#rows = 0;
    this.#head.replaceChildren(
      el("th", { scope: "col", class: "heading" }, t("text")),
      ...names.map((name) => el("th", { scope: "col", class: "heading" }, name)),
    );
    this.#body.replaceChildren();
  }

  append(columns: readonly ComparedColumn[]): void {
    this.#rows += columns.length;
    this.#body.append(
      ...columns.map(({ text, tokens }) =>
        el(
          "tr",
          {},
          el("th", { scope: "row", class: "stretch" }, visible(text)),
          ...tokens.map((each) => el("td", {}, ...each.map(tokenElement))),
        ),
      ),
    );
  }
}

function tokenElement(token: ComparedToken): HTMLElement {
  const details = [token.token, t("id {0}", String(token.id)), ...(token.bytes === "" ? [] : [token.bytes])];
  return el(
    "span",
    { class: "token", "data-kind": token.kind, title: details.join(" · ") },
    el("span", { class: "token-text" }, readable(token)),
    el("span", { class: "token-id" }, String(token.id)),
  );
}
