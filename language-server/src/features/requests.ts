import {
  type CancellationToken,
  type Connection,
  LSPErrorCodes,
  type ProgressToken,
  ResponseError,
  type WorkDoneProgressReporter,
} from "vscode-languageserver";
import type { Refusal } from "../protocol";
import { type EngineLocation, locateEngine } from "../training/engine";
import type { Progress, Reporter } from "../training/progress";
import { Refused, RunningAlready } from "../training/refused";
import type { ServerContext } from "./context";

/** Serves a custom request: what a person is refused is an answer; everything else that goes wrong is an error of the protocol. */
export function handleRequest<Params, Result = unknown>(
  connection: Connection,
  method: string,
  answer: (params: Params, token: CancellationToken) => Promise<Result>,
): void {
  connection.onRequest(method, async (params: Params, token: CancellationToken) => {
    try {
      return await answer(params, token);
    } catch (error) {
      if (error instanceof Refused) return error.toRefusal() satisfies Refusal;
      if (error instanceof RunningAlready) return { alreadyRunning: error.run };
      if ((error as Error).name === "AbortError") {
        return new ResponseError(LSPErrorCodes.RequestCancelled, "Cancelled.");
      }
      throw error;
    }
  });
}

/**
 * Does work whose progress is shown: in the client's own way when it has given a token, else in one that the client is asked
 * to show, which can be cancelled there.
 */
export async function withProgress<Result>(
  connection: Connection,
  title: string,
  token: ProgressToken | undefined,
  request: CancellationToken,
  work: (hooks: { report: Reporter; signal: AbortSignal }) => Promise<Result>,
): Promise<Result> {
  let reporter: WorkDoneProgressReporter;
  let shown: CancellationToken | undefined;
  if (token === undefined) {
    const server = await connection.window.createWorkDoneProgress();
    [reporter, shown] = [server, server.token];
  } else {
    reporter = connection.window.attachWorkDoneProgress(token);
  }
  try {
    reporter.begin(title, 0, undefined, true);
    const report = ({ message, fraction }: Progress) => reporter.report(Math.round(100 * fraction), message);
    return await work({ report, signal: AbortSignal.any([signalOf(request), signalOf(shown)]) });
  } finally {
    reporter.done();
  }
}

/** The engine that the settings, the environment or the extension's folder has; the log says which. @throws Refused */
export async function locatedEngine({ connection, ready, settings }: ServerContext): Promise<EngineLocation> {
  await ready;
  const location = await locateEngine(settings().engine.path);
  connection.console.info(`Engine: ${location.path} (${location.origin})`);
  return location;
}

export function signalOf(token: CancellationToken | undefined): AbortSignal {
  const controller = new AbortController();
  if (token?.isCancellationRequested) controller.abort();
  else token?.onCancellationRequested(() => controller.abort());
  return controller.signal;
}
