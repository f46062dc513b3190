import { randomUUID } from "node:crypto";
import { type CancellationToken, ProgressLocation, window } from "vscode";
import type { ServerConnection } from "./language-client";

/**
 * Shows in a notification how far the server is with a request that is given `workDoneToken`.
 * @returns undefined when it was cancelled there
 */
export async function withServerProgress<Answer>(
  server: ServerConnection,
  title: string,
  cancellable: boolean,
  ask: (workDoneToken: string, token: CancellationToken) => Promise<Answer>,
): Promise<Answer | undefined> {
  const workDoneToken = randomUUID();
  return window.withProgress(
    { location: ProgressLocation.Notification, title, cancellable },
    async (progress, token) => {
      let percentage = 0;
      const listening = await server.onWorkDoneProgress(workDoneToken, (value) => {
        const increment = value.percentage === undefined ? undefined : value.percentage - percentage;
        percentage = value.percentage ?? percentage;
        progress.report({ message: value.message, increment });
      });
      try {
        return await ask(workDoneToken, token);
      } catch (error) {
        if (token.isCancellationRequested) return undefined;
        throw error;
      } finally {
        listening.dispose();
      }
    },
  );
}
