import { createConnection, ProposedFeatures } from "vscode-languageserver/node";
import { serve } from "./features/language-server";
import { launchWorkerThread } from "./features/worker-thread";

const connection = createConnection(ProposedFeatures.all);
// One answer that fails must not take every open file's diagnostics with it.
process.on("unhandledRejection", (reason) => {
  connection.console.error(reason instanceof Error ? (reason.stack ?? reason.message) : String(reason));
});
serve(connection, launchWorkerThread);
