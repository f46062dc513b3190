import {
  type Disposable,
  EventEmitter,
  env,
  l10n,
  MarkdownString,
  StatusBarAlignment,
  ThemeColor,
  ThemeIcon,
  type TreeDataProvider,
  TreeItem,
  TreeItemCollapsibleState,
  window,
} from "vscode";
import type { RunState, RunSummary } from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import type { RunList } from "./run-list";
import { isActive, isAnswerable, isExportable, isResumable } from "./run-states";
import { runDescription, runTooltip, stateText, statusBarText } from "./run-text";

const icons: Record<RunState, ThemeIcon> = {
  preparing: new ThemeIcon("loading~spin"),
  running: new ThemeIcon("pulse", new ThemeColor("charts.green")),
  finished: new ThemeIcon("pass", new ThemeColor("charts.green")),
  stopped: new ThemeIcon("circle-slash"),
  failed: new ThemeIcon("error", new ThemeColor("list.errorForeground")),
  interrupted: new ThemeIcon("warning", new ThemeColor("list.warningForeground")),
};

/** The Runs view of the activity bar. The server is started when the view is first seen. */
export class RunsView implements TreeDataProvider<RunSummary>, Disposable {
  readonly #changed = new EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #disposables: Disposable[];
  #loaded: Promise<void> | undefined;

  constructor(
    private readonly list: RunList,
    private readonly formats: Formats,
  ) {
    const view = window.createTreeView("ziptie.runs", { treeDataProvider: this });
    this.#disposables = [
      view,
      list.onDidChange(() => {
        this.#changed.fire();
        const active = list.runs.filter(isActive).length;
        view.badge =
          active === 0
            ? undefined
            : {
                value: active,
                tooltip: active === 1 ? l10n.t("1 run training") : l10n.t("{0} runs training", active),
              };
      }),
    ];
  }

  async getChildren(parent?: RunSummary): Promise<RunSummary[]> {
    if (parent !== undefined) return [];
    // The server says by itself why it cannot be started; the view stays with its welcome.
    if (this.list.runs.length === 0) {
      this.#loaded ??= this.list.refresh().catch(() => undefined);
      await this.#loaded;
    }
    return [...this.list.runs];
  }

  getTreeItem(run: RunSummary): TreeItem {
    const item = new TreeItem(run.name, TreeItemCollapsibleState.None);
    item.id = run.run;
    item.description = runDescription(run, this.formats, l10n.t);
    item.iconPath = icons[run.state];
    item.tooltip = new MarkdownString(runTooltip(run, this.formats, l10n.t, env.language));
    item.contextValue = [
      "run",
      isActive(run) ? "active" : "ended",
      ...(isResumable(run) ? ["resumable"] : []),
      ...(isAnswerable(run) ? ["answerable"] : []),
      ...(isExportable(run) ? ["exportable"] : []),
    ].join(" ");
    item.command = { command: "ziptie.openRun", title: l10n.t("Open Run"), arguments: [run] };
    item.accessibilityInformation = {
      label: `${run.name}, ${stateText(run, l10n.t)}, ${item.description}`,
    };
    return item;
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
    this.#changed.dispose();
  }
}

/** One item while something trains; a click opens the run. */
export function createStatusBarItem(list: RunList, formats: Formats): Disposable {
  const item = window.createStatusBarItem("ziptie.training", StatusBarAlignment.Left, 10);
  item.name = l10n.t("Ziptie training");
  return {
    dispose: ((subscription) => () => {
      subscription.dispose();
      item.dispose();
    })(
      list.onDidChange(() => {
        const active = list.runs.filter(isActive);
        const text = statusBarText(active, formats, l10n.t);
        const [run] = active;
        if (text === undefined || run === undefined) return item.hide();
        item.text = text;
        item.tooltip = new MarkdownString(runTooltip(run, formats, l10n.t, env.language));
        item.command = { command: "ziptie.openRun", title: l10n.t("Open Run"), arguments: [run] };
        item.show();
      }),
    ),
  };
}
