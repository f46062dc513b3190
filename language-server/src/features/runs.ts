import { readFile } from "node:fs/promises";
import { type CancellationToken, CodeLensRefreshRequest, type ProgressToken } from "vscode-languageserver";
import { isConfigPath } from "../configs/sources";
import {
  listRunsRequest,
  type PlanSummary,
  planRequest,
  type RunSummary,
  resumeRunRequest,
  runEventsNotification,
  runsChangedNotification,
  startTrainingRequest,
  stopRunRequest,
  unwatchRunRequest,
  watchRunRequest,
} from "../protocol";
import { runJob } from "../training/job-process";
import { Refused } from "../training/refused";
import { resumeRun, stopRun } from "../training/runs";
import { RunsWatch } from "../training/runs-watch";
import type { ConfigText } from "../training/training-job";
import { WatchedRuns } from "../training/watched-runs";
import type { ServerContext } from "./context";
import { pathOfUri } from "./open-documents";
import { handleRequest, locatedEngine, signalOf, withProgress } from "./requests";

/** Plans and runs: the custom requests of `protocol.ts`. */
export function register(context: ServerContext): void {
  const { connection, documents, settings } = context;
  const complain = (error: Error) => connection.console.error(error.message);
  let canRefreshLenses = false;
  context.onInitialized(({ workspace }) => {
    canRefreshLenses = workspace?.codeLens?.refreshSupport === true;
  });
  let finished = "";
  /** A config that begins with another's model has something to say as soon as that one's run has finished. */
  const refreshLenses = (changed: readonly RunSummary[]) => {
    const now = changed.flatMap(({ run, state }) => (state === "finished" ? [run] : [])).join("\n");
    if (now === finished) return;
    finished = now;
    if (canRefreshLenses) connection.sendRequest(CodeLensRefreshRequest.type).catch(complain);
  };
  const runs = new RunsWatch(
    context.workspaceFolders,
    (changed) => {
      void connection.sendNotification(runsChangedNotification.method, { runs: changed });
      refreshLenses(changed);
    },
    complain,
  );
  const watched = new WatchedRuns(
    (run, events) => void connection.sendNotification(runEventsNotification.method, { run, events }),
    complain,
  );
  context.onShutdown(() => {
    runs.dispose();
    watched.dispose();
  });
  documents.onDidSave(({ document }) => {
    if (isConfigPath(document.uri)) runs.nudge({ rediscover: true });
  });

  const handle = <Params, Result = unknown>(
    method: string,
    answer: (params: Params, token: CancellationToken) => Promise<Result>,
  ) => handleRequest(connection, method, answer);
  const configText = async (uri: string): Promise<ConfigText> => {
    const path = pathOfUri(uri);
    if (path === null) throw new Refused(`Training needs files on a disk; ${uri} is not one.`);
    const open = documents.get(uri)?.getText();
    const text = open ?? (await readFile(path, "utf8").catch(unreadable(path)));
    return { path, text, severities: settings().rules };
  };
  const engine = () => locatedEngine(context);

  handle<{ uri: string; workDoneToken?: ProgressToken }, PlanSummary>(
    planRequest.method,
    async (params, token) => {
      const config = await configText(params.uri);
      return runJob({ task: "plan", config }, { report: () => {}, signal: signalOf(token) });
    },
  );

  handle<{ uri: string; workDoneToken?: ProgressToken }>(
    startTrainingRequest.method,
    async (params, token) => {
      const config = await configText(params.uri);
      const job = { task: "start", config, engine: await engine() } as const;
      const onDirectory = () => runs.nudge({ rediscover: true });
      try {
        return await withProgress(
          connection,
          "Preparing to train",
          params.workDoneToken,
          token,
          ({ report, signal }) => runJob(job, { report, signal, onDirectory }),
        );
      } finally {
        runs.nudge({ rediscover: true });
      }
    },
  );

  handle<{ run: string }>(resumeRunRequest.method, async ({ run }) => {
    try {
      return { run: await resumeRun(run, await engine()) };
    } finally {
      runs.nudge();
    }
  });

  handle<{ run: string }>(stopRunRequest.method, async ({ run }) => {
    await stopRun(run);
    runs.nudge();
    return {};
  });

  handle<Record<string, never>>(listRunsRequest.method, () => runs.list());
  handle<{ run: string }>(watchRunRequest.method, ({ run }) => watched.watch(run));
  handle<{ run: string }>(unwatchRunRequest.method, async ({ run }) => {
    watched.unwatch(run);
    return {};
  });
}

function unreadable(path: string): (error: Error) => never {
  return (error) => {
    throw new Refused(`The config ${path} cannot be read: ${error.message}`);
  };
}
