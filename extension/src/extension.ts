import { join } from "node:path";
import { commands, type ExtensionContext, env, l10n, window, workspace } from "vscode";
import { ComparisonPanels } from "./comparison/comparison-panels";
import { formatsFor } from "./format";
import { Generation } from "./generation/generation";
import { messageOf, ServerConnection } from "./language-client";
import { isOwnDocument } from "./own-documents";
import { PlanPreview } from "./plan/plan-preview";
import { isFile, showReport } from "./reveal";
import { showRulePages } from "./rule-pages";
import { announceEnds } from "./runs/end-notifications";
import { exportModel } from "./runs/export-model";
import { RunCommands } from "./runs/run-commands";
import { RunList } from "./runs/run-list";
import { isActive, isExportable, isResumable, whyNotExportable } from "./runs/run-states";
import { createStatusBarItem, RunsView } from "./runs/runs-view";
import { chooseTokenizers } from "./tokens/choose-tokenizers";
import { ChosenTokenizers } from "./tokens/chosen-tokenizers";
import { InlineComparison } from "./tokens/inline-comparison";
import { TokenView } from "./tokens/token-view";
import { isVocabularyConfig, pickConfig, toUri, workspaceHasConfig } from "./training/configs";
import { Launcher } from "./training/launch";
import { TrainingPanels } from "./training/training-panels";
import { WatchedRuns } from "./training/watched-runs";
import { openExample, openWalkthrough, watchForFixedConfig } from "./walkthrough";

export function activate(context: ExtensionContext): void {
  const log = window.createOutputChannel("Ziptie", { log: true });
  const server = new ServerConnection(context.asAbsolutePath("dist/server.js"), log);
  const formats = formatsFor(env.language);
  const list = new RunList(server);
  const runs = new RunCommands(server, list, formats);
  const watched = new WatchedRuns(server);
  const panels = new TrainingPanels(context.extensionUri, list, watched, {
    start: () => void commands.executeCommand("ziptie.startTraining"),
    stop: (run) => runs.stop(run),
    resume: (run) => launcher.resume(run),
    openLog: (run) => runs.openLog(run),
    openConfig: (run) => runs.openConfig(run),
  });
  const launcher = new Launcher(server, {
    started: (run) => list.started(run),
    open: (run) => panels.open(run),
    stop: (run) => runs.stop(run),
  });
  const chosen = new ChosenTokenizers(server, context.workspaceState);
  const choose = () => chooseTokenizers(server, chosen);
  const tokens = new TokenView(server, chosen, formats);
  const inline = new InlineComparison(server, chosen, formats);
  const comparison = new ComparisonPanels(context.extensionUri, server, chosen, choose);
  const plan = new PlanPreview(server, formats);
  const generation = new Generation(server, list, formats);
  context.subscriptions.push(
    log,
    server,
    list,
    watched,
    panels,
    chosen,
    tokens,
    inline,
    comparison,
    plan,
    generation,
    new RunsView(list, formats),
    createStatusBarItem(list, formats),
    announceEnds(list, formats),
    watchForFixedConfig(),
    ...showRulePages(context.extensionUri),
  );

  const register = (id: string, run: (argument: unknown, selected: unknown) => unknown) => {
    context.subscriptions.push(
      commands.registerCommand(`ziptie.${id}`, async (argument: unknown, selected: unknown) => {
        try {
          await run(argument, selected);
        } catch (error) {
          log.error(messageOf(error));
          void window.showErrorMessage(messageOf(error));
        }
      }),
    );
  };
  register("startTraining", async (argument) => {
    const config = await pickConfig(argument);
    if (config !== undefined) await launcher.start(config);
  });
  register("extendVocabulary", async (argument) => {
    const config = await pickConfig(argument, isVocabularyConfig);
    if (config !== undefined) await launcher.start(config);
  });
  register("stopTraining", async (argument) => {
    const run = await runs.pick(
      argument,
      isActive,
      l10n.t("Choose a run to stop"),
      l10n.t("Nothing is training."),
    );
    if (run !== undefined) await runs.stop(run);
  });
  register("resumeTraining", async (argument) => {
    const run = await runs.pick(
      argument,
      isResumable,
      l10n.t("Choose a run to resume"),
      l10n.t("There is no run with a checkpoint to resume from."),
    );
    if (run !== undefined) await launcher.resume(run);
  });
  register("openRun", async (argument) => {
    const run = await runs.pick(
      argument,
      () => true,
      l10n.t("Choose a run to open"),
      l10n.t("There are no runs yet."),
    );
    if (run === undefined) return;
    // A run without a step has no panel to show, but if it extended a vocabulary, a report.
    const report = list.get(run)?.steps === 0 ? join(run, "report.md") : undefined;
    if (report !== undefined && (await isFile(report))) await showReport(report);
    else panels.open(run);
  });
  register("openEngineLog", async (argument) => {
    const run = await runs.pick(
      argument,
      () => true,
      l10n.t("Choose the run whose log to open"),
      l10n.t("There are no runs yet."),
    );
    if (run !== undefined) await runs.openLog(run);
  });
  register("openRunConfig", async (argument) => {
    const run = await runs.pick(
      argument,
      () => true,
      l10n.t("Choose the run whose config to open"),
      l10n.t("There are no runs yet."),
    );
    if (run !== undefined) await runs.openConfig(run);
  });
  register("generate", (argument) => generation.start(argument));
  register("exportModel", async (argument) => {
    const run = await runs.pick(
      argument,
      isExportable,
      l10n.t("Choose the run whose model to export"),
      l10n.t("There is no run with an adapter to export. It is written after a run's last step."),
    );
    if (run === undefined) return;
    const known = list.get(run);
    const why = known && whyNotExportable(known, l10n.t);
    if (why === undefined) await exportModel(run, server);
    else void window.showInformationMessage(why);
  });
  register("refreshRuns", () => list.refresh());
  register("previewPlan", async (argument) => {
    const config = await pickConfig(argument);
    if (config !== undefined) await plan.show(config);
  });
  register("showTokens", () => tokens.toggle());
  register("hideTokens", () => tokens.hide());
  register("chooseTokenizers", async () => {
    if ((await choose()) && chosen.tokenizers.length > 0) chosen.setInline(true);
  });
  register("toggleInlineTokens", async () => {
    if (chosen.tokenizers.length > 0) chosen.setInline(!chosen.isInline);
    else if (await choose()) chosen.setInline(true);
  });
  register("showNextTokenizer", () => chosen.showNext());
  register("compareTokenizers", async () => {
    if (chosen.tokenizers.length === 0) await choose();
    comparison.show("text");
  });
  register("compareCorpus", async (argument, selected) => {
    const given = Array.isArray(selected) && selected.length > 0 ? selected : [argument];
    const corpora = given.flatMap((each: unknown) => toUri(each) ?? []);
    const elsewhere = corpora.find(({ scheme }) => scheme !== "file");
    if (elsewhere !== undefined)
      throw new Error(l10n.t("A corpus is read from a disk; {0} is not on one.", elsewhere.toString()));
    if (chosen.tokenizers.length === 0) await choose();
    const panel = comparison.show("corpus");
    if (corpora.length > 0) await panel.compareCorpus(corpora.map(({ fsPath }) => fsPath));
  });
  register("showLog", () => log.show());
  register("restartServer", () => server.restart());
  register("openWalkthrough", openWalkthrough);
  register("openExample", () => openExample(context.extensionUri));

  // The server is worth its memory once there is something for it to check. It says by itself why it cannot be started.
  const startServer = () => void server.start().catch(() => undefined);
  if (workspace.textDocuments.some(isOwnDocument)) startServer();
  context.subscriptions.push(
    workspace.onDidOpenTextDocument((document) => {
      if (isOwnDocument(document)) startServer();
    }),
  );
  void workspaceHasConfig().then((hasConfig) => {
    void commands.executeCommand("setContext", "ziptie.hasConfig", hasConfig);
    if (hasConfig) startServer();
  });
}
