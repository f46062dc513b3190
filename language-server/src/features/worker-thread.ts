import { join } from "node:path";
import { Worker } from "node:worker_threads";
import {
  CancellationReceiverStrategy,
  createMessageConnection,
  PortMessageReader,
  PortMessageWriter,
  SharedArraySenderStrategy,
} from "vscode-languageserver/node";
import type { WorkerThread } from "./analysis-worker";

/** Starts `worker.js`, which lies beside the server's bundle. Cancellation reaches it through shared memory, in mid-work. */
export function launchWorkerThread(script: string = join(__dirname, "worker.js")): WorkerThread {
  const worker = new Worker(script);
  // Errors also end the worker; its exit is what the server acts on.
  worker.on("error", (error) => process.stderr.write(`ziptie worker: ${error.message}\n`));
  worker.unref();
  return {
    connection: createMessageConnection(
      new PortMessageReader(worker),
      new PortMessageWriter(worker),
      undefined,
      {
        cancellationStrategy: {
          sender: new SharedArraySenderStrategy(),
          receiver: CancellationReceiverStrategy.Message,
        },
      },
    ),
    terminate: () => void worker.terminate(),
    onExit: (listener) => worker.once("exit", listener),
  };
}
