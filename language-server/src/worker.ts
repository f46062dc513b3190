import { parentPort } from "node:worker_threads";
import {
  CancellationSenderStrategy,
  createMessageConnection,
  PortMessageReader,
  PortMessageWriter,
  SharedArrayReceiverStrategy,
} from "vscode-languageserver/node";
import { serveAnalysis } from "./features/analysis";
import { serveComparison } from "./features/comparison/serve-comparison";

if (!parentPort) throw new Error("worker.js is started by server.js.");
const connection = createMessageConnection(
  new PortMessageReader(parentPort),
  new PortMessageWriter(parentPort),
  undefined,
  {
    cancellationStrategy: {
      receiver: new SharedArrayReceiverStrategy(),
      sender: CancellationSenderStrategy.Message,
    },
  },
);
serveAnalysis(connection);
serveComparison(connection);
connection.listen();
