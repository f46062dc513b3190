import "uplot/dist/uPlot.min.css";
import "./comparison.css";
import type {
  ComparisonPanelInput,
  ComparisonPanelOutput,
  TokenizerChoice,
} from "../../../language-server/src/protocol";
import { button, checkbox, tabs } from "../controls/toolkit";
import { el, setText } from "../elements";
import { connectHost } from "../host";
import { t } from "../messages";
import { onThemeChange } from "../palette";
import { CorpusView } from "./corpus-view";
import { readState, type SavedState } from "./saved-state";
import { TextView } from "./text-view";

const { saved, save, post } = connectHost<ComparisonPanelOutput, SavedState>(readState);

const choose = () => post({ type: "chooseTokenizers" });
const names = el("span", { class: "facts" });
const special = checkbox(t("Special tokens"), false, (on) => post({ type: "specialTokens", on }));
const header = el(
  "header",
  { class: "panel-header" },
  el("h1", {}, t("Compare Tokenizers")),
  names,
  el(
    "div",
    { class: "buttons" },
    special.element,
    button(t("Choose Tokenizers…"), "secondary", choose).element,
  ),
);

const text = new TextView(
  {
    more: (first) => post({ type: "moreColumns", first }),
    retry: () => post({ type: "retryText" }),
    showIds: (ids) => save({ ids }),
  },
  saved.ids,
);
const corpus = new CorpusView({
  choose: (kind) => post({ type: "chooseCorpus", kind }),
  repeat: () => post({ type: "repeatCorpus" }),
  cancel: () => post({ type: "cancelCorpus" }),
  save: (table) => post({ type: "saveCsv", table }),
  copy: (copied) => post({ type: "copy", text: copied }),
});
const parts = tabs(
  t("What is compared"),
  [
    { id: "text", title: t("Text"), content: text.element },
    { id: "corpus", title: t("Corpus"), content: corpus.element },
  ],
  saved.part,
  (part) => {
    save({ part: part === "corpus" ? "corpus" : "text" });
    // A chart has no width before its part is on the screen.
    requestAnimationFrame(() => corpus.draw());
  },
);
const empty = el(
  "div",
  { class: "message", role: "status" },
  el("h2", {}, t("No tokenizers chosen")),
  el("p", {}, t("Choose some of this workspace's tokenizers to see what each makes of the same text.")),
  button(t("Choose Tokenizers…"), "primary", choose).element,
);
document.getElementById("panel")?.append(header, empty, parts.element);

/** Which of its states the panel is in; tests and screen readers look at what is on it. */
function showTokenizers(tokenizers: readonly TokenizerChoice[]): void {
  const hasSome = tokenizers.length > 0;
  document.body.dataset.state = hasSome ? "live" : "empty";
  empty.hidden = hasSome;
  header.hidden = !hasSome;
  parts.element.hidden = !hasSome;
  setText(names, tokenizers.map(({ name }) => name).join(", "));
}

function receive(message: ComparisonPanelInput): void {
  switch (message.type) {
    case "tokenizers":
      showTokenizers(message.tokenizers);
      special.setChecked(message.special_tokens);
      break;
    case "noText":
      text.showNoText();
      break;
    case "textLoading":
      text.showLoading(message.origin);
      break;
    case "text":
      text.show(message.origin, message.comparison, message.first);
      break;
    case "textFailed":
      text.showFailure(message.origin, message.message);
      break;
    case "corpusProgress":
      corpus.showProgress(message.name, message.read, message.total, message.texts);
      break;
    case "corpus":
      corpus.show(message.name, message.comparison);
      break;
    case "corpusCancelled":
      corpus.showCancelled(message.name);
      break;
    case "corpusFailed":
      corpus.showFailure(message.name, message.message);
      break;
    case "reveal":
      parts.show(message.part);
      save({ part: message.part });
      break;
  }
}

window.addEventListener("message", (event: MessageEvent<ComparisonPanelInput>) => receive(event.data));
window.addEventListener("resize", () => corpus.draw());
onThemeChange(() => corpus.recolor());
document.body.dataset.state = "loading";
empty.hidden = true;
text.showSkeleton();
post({ type: "ready" });
