import {
  type ExportParams,
  exportModelRequest,
  type GenerateParams,
  type GenerationEvent,
  type GenerationSummary,
  generatedNotification,
  generateRequest,
} from "../protocol";
import { exportModel, mergeSource } from "../training/export";
import { defaultSettings } from "../training/generation/generate";
import { runJob } from "../training/job-process";
import type { ServerContext } from "./context";
import { handleRequest, locatedEngine, withProgress } from "./requests";

/** Asking a model, and writing it out whole: the custom requests of `protocol.ts`. */
export function register(context: ServerContext): void {
  const { connection } = context;

  handleRequest<GenerateParams, GenerationSummary>(
    connection,
    generateRequest.method,
    async ({ model, prompts, settings, job, workDoneToken }, token) => {
      const engine = await locatedEngine(context);
      const request = { model, prompts, settings: { ...defaultSettings, ...settings } };
      const batch = new EventBatch((events) => {
        void connection.sendNotification(generatedNotification.method, { job, events });
      });
      try {
        return await withProgress(connection, "Generating", workDoneToken, token, ({ report, signal }) =>
          runJob(
            { task: "generate", request, engine },
            { report, signal, onGenerated: (event) => batch.add(event) },
          ),
        );
      } finally {
        batch.flush();
      }
    },
  );

  handleRequest<ExportParams, { output: string }>(
    connection,
    exportModelRequest.method,
    async ({ run, output, workDoneToken }, token) => {
      const source = await mergeSource(run);
      const engine = await locatedEngine(context);
      await withProgress(connection, "Exporting", workDoneToken, token, ({ report, signal }) =>
        exportModel(source, { output, dtype: null }, engine, { report, signal }),
      );
      return { output };
    },
  );
}

/** A token is a message to no one: what is written within so many milliseconds is sent together. */
const batchMilliseconds = 100;

class EventBatch {
  #events: GenerationEvent[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly send: (events: GenerationEvent[]) => void) {}

  add(event: GenerationEvent): void {
    const last = this.#events.at(-1);
    if (event.event === "text" && last?.event === "text") last.text += event.text;
    else this.#events.push({ ...event });
    this.#timer ??= setTimeout(() => this.flush(), batchMilliseconds);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#events.length > 0) this.send(this.#events);
    this.#events = [];
  }
}
