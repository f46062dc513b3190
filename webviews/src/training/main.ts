import "uplot/dist/uPlot.min.css";
import "./training.css";
import type {
  RunSummary,
  TrainingPanelInput,
  TrainingPanelOutput,
} from "../../../language-server/src/protocol";
import { el } from "../elements";
import { connectHost } from "../host";
import { t } from "../messages";
import { onThemeChange } from "../palette";
import { ChartGroup } from "./chart-group";
import { ChartToolbar } from "./chart-toolbar";
import { toBase64, toCsv, toPng } from "./export";
import { Legend } from "./legend";
import { Banner, Notice } from "./notice";
import { NowBox } from "./now-box";
import { panelState } from "./panel-state";
import { RunColumns } from "./run-columns";
import { RunHeader } from "./run-header";
import { RunOverlay } from "./run-overlay";
import { readState, type SavedState } from "./saved-state";

const { saved, save, post } = connectHost<TrainingPanelOutput, SavedState>(readState);

/** The shown runs, the panel's own first. */
let runs: RunColumns[] = [];
let available: RunSummary[] = [];
let answered = false;
/** Whether the host has been asked for the runs that were laid over before a reload. */
let restored = false;
let failure: string | undefined;

const withPrimary = (act: (run: string) => void) => () => {
  if (saved.primary !== undefined) act(saved.primary);
};
const openLog = withPrimary((run) => post({ type: "openLog", run }));

const header = new RunHeader({
  stop: withPrimary((run) => post({ type: "stop", run })),
  resume: withPrimary((run) => post({ type: "resume", run })),
  openLog,
  openConfig: withPrimary((run) => post({ type: "openConfig", run })),
});
const banner = new Banner(openLog);
const notice = new Notice();
const legend = new Legend();
const nowBox = new NowBox();
const overlay = new RunOverlay((chosen) => {
  save({ overlay: chosen.filter((run) => run !== saved.primary) });
  post({ type: "overlay", runs: saved.overlay });
});
const charts = new ChartGroup({
  onHover: () => showValues(),
  onView: (view) => {
    save({ view });
    toolbar.showZoomed(view !== undefined);
  },
});
const fileName = (extension: string) => `${runs.map(({ summary }) => summary.name).join("+")}.${extension}`;
const toolbar = new ChartToolbar(saved.smoothing, saved.logarithmic, {
  onSmoothing: (smoothing) => {
    save({ smoothing });
    for (const run of runs) run.setSmoothing(smoothing);
    charts.redraw();
    showValues();
  },
  onLogarithmic: (logarithmic) => {
    save({ logarithmic });
    charts.setLogarithmic(logarithmic);
  },
  onReset: () => charts.setView(undefined),
  onCopyCsv: () => post({ type: "copy", text: toCsv(runs) }),
  onSaveCsv: () =>
    post({ type: "save", name: fileName("csv"), format: "csv", base64: toBase64(toCsv(runs)) }),
  onSavePng: () => {
    const lines = runs.map(({ summary }, index) => ({
      name: summary.name,
      color: ChartGroup.colorOf(index),
    }));
    const title = runs[0]?.summary.name ?? "";
    const base64 = toPng(title, lines, [charts.loss, ...charts.small]);
    post({ type: "save", name: fileName("png"), format: "png", base64 });
  },
});
const body = el(
  "div",
  { class: "charts" },
  toolbar.element,
  el("div", { class: "upper" }, el("div", { class: "loss" }, charts.element, legend.element), nowBox.element),
  charts.smallElement,
);
document
  .getElementById("panel")
  ?.append(header.element, banner.element, notice.element, body, overlay.element);

charts.setLogarithmic(saved.logarithmic);
onThemeChange(() => {
  charts.recolor();
  legend.show(runs);
  overlay.show(available, runs, saved.overlay);
});

function showValues(): void {
  const [primary] = runs;
  if (primary !== undefined) nowBox.show(primary, charts.hovered);
  overlay.showValues(runs, charts.hovered);
}

/** Puts on screen what is known, whichever of the states that is. */
function show(): void {
  const [primary] = runs;
  const summary = primary?.summary;
  const isEmpty = primary === undefined || primary.isEmpty;
  const state = panelState({ answered, failure, summary, isEmpty });
  document.body.dataset.state = state;
  header.element.hidden = summary === undefined;
  if (summary !== undefined) header.show(summary);
  body.hidden = isEmpty;
  overlay.element.hidden = primary === undefined;
  showBanner(summary);

  if (state === "loading") notice.showSkeleton(t("Loading the run…"));
  else if (state === "waiting") {
    notice.showSkeleton(
      summary?.state === "preparing" ? t("Preparing the data…") : t("Waiting for the first step…"),
    );
  } else if (state === "empty") {
    notice.showMessage(
      t("No run to show"),
      t("The loss and everything else about a training run will be here."),
      { label: t("Start Training"), run: () => post({ type: "start" }) },
    );
  } else if (failure !== undefined) {
    notice.showMessage(t("The run cannot be shown"), failure, {
      label: t("Try Again"),
      run: () => post({ type: "ready" }),
    });
  } else if (isEmpty) {
    notice.showMessage(t("No steps"), t("The run ended before its first step."));
  } else notice.hide();

  if (primary !== undefined) {
    legend.show(runs);
    overlay.show(available, runs, saved.overlay);
    showValues();
  }
}

function showBanner(summary: RunSummary | undefined): void {
  if (failure !== undefined || summary === undefined) banner.hide();
  else if (summary.state === "failed") {
    banner.show("error", summary.reason ?? t("The run has failed; the log may say why."));
  } else if (summary.state === "interrupted") {
    banner.show(
      "warning",
      summary.resumable
        ? t("The engine is gone without a word, perhaps killed. Resume continues from the last checkpoint.")
        : t("The engine is gone without a word, perhaps killed, and there is no checkpoint to resume from."),
    );
  } else banner.hide();
}

function receive(message: TrainingPanelInput): void {
  answered = true;
  switch (message.type) {
    case "snapshot": {
      failure = undefined;
      overlay.limit = message.max_overlaid;
      available = message.available;
      runs = message.runs.map(({ summary, series }) => {
        const columns = new RunColumns(summary, saved.smoothing);
        columns.append(series);
        return columns;
      });
      save({ primary: message.primary });
      const shown = runs.map(({ summary }) => summary.run).filter((run) => run !== message.primary);
      // After a reload the host knows only the panel's own run. It is asked once: what it then leaves out cannot be shown.
      if (!restored && !saved.overlay.every((run) => shown.includes(run))) {
        post({ type: "overlay", runs: saved.overlay });
      } else save({ overlay: shown });
      restored = true;
      show();
      charts.setRuns(runs);
      charts.setView(saved.view);
      break;
    }
    case "append": {
      const run = runs.find(({ summary }) => summary.run === message.run);
      if (run === undefined) return;
      run.summary = message.summary;
      run.append(message.series);
      show();
      charts.redraw();
      break;
    }
    case "available":
      available = message.runs;
      show();
      break;
    case "stopRefused":
      if (message.run === saved.primary) header.stopRefused();
      break;
    case "failure":
      failure = message.message;
      runs = [];
      show();
      break;
  }
}

window.addEventListener("message", (event: MessageEvent<TrainingPanelInput>) => receive(event.data));
show();
post({ type: "ready" });
