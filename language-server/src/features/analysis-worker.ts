import {
  type CancellationToken,
  CancellationTokenSource,
  type MessageConnection,
  type RequestType,
} from "vscode-languageserver";
import { renderingNotification } from "./analysis-protocol";

/** One started worker; `connection` is not listening yet. */
export interface WorkerThread {
  readonly connection: MessageConnection;
  /** Ends it at once, whatever it is doing. */
  terminate(): void;
  /** The worker died by itself. */
  onExit(listener: () => void): void;
}

/** Why there is no answer from the worker; the message is for a person. */
export abstract class NoAnalysis extends Error {}

/** The worker needed longer than it may; it has been ended and a fresh one takes its place. */
export class AnalysisTimeout extends NoAnalysis {
  override readonly name = "AnalysisTimeout";
  constructor(
    /** Milliseconds it was given. */
    readonly limit: number,
    /** The template that was being rendered, if that was what took so long. */
    readonly template: string | null,
  ) {
    const seconds = `${limit / 1000} s`;
    super(
      template === null
        ? `This took longer than ${seconds} and was given up.`
        : `The template ${template} took longer than ${seconds} to render and was given up. Look for a loop that does not end.`,
    );
  }
}

/** The worker ended by itself in the middle of a request; a fresh one takes its place. */
export class AnalysisCrash extends NoAnalysis {
  override readonly name = "AnalysisCrash";
}

/** The request was cancelled, or the server is going down, before an answer came. */
export class AnalysisCancelled extends NoAnalysis {
  override readonly name = "AnalysisCancelled";
}

export interface AnalysisLimits {
  /** Milliseconds for one request. */
  readonly request: number;
  /** Milliseconds for rendering one row through a template; longer than the renderer allows itself, which can say where. */
  readonly rendering: number;
}

export const defaultLimits: AnalysisLimits = { request: 60_000, rendering: 3_000 };

interface Job {
  run(connection: MessageConnection): Promise<void>;
  fail(error: Error): void;
}

/**
 * The worker thread as the server sees it. Requests are sent one at a time, or `atOnce`, so that a time limit counts work
 * and not waiting, and a request that is cancelled while it waits costs nothing.
 */
export class AnalysisWorker {
  readonly #launch: () => WorkerThread;
  readonly #limits: AnalysisLimits;
  readonly #atOnce: number;
  readonly #startListeners: ((connection: MessageConnection) => void)[] = [];
  readonly #queue: Job[] = [];
  #thread: WorkerThread | null = null;
  #working = 0;
  #disposed = false;

  /** @param atOnce more than one only where the worker waits for native code more than it works itself */
  constructor(launch: () => WorkerThread, limits: AnalysisLimits = defaultLimits, atOnce = 1) {
    this.#launch = launch;
    this.#limits = limits;
    this.#atOnce = atOnce;
  }

  /** Called with each fresh worker before any request: tell it what is open. */
  onStart(listener: (connection: MessageConnection) => void): void {
    this.#startListeners.push(listener);
  }

  /** The worker's connection if it has been started; notifications to a worker that is not there are not needed. */
  get connection(): MessageConnection | null {
    return this.#thread?.connection ?? null;
  }

  /**
   * @throws AnalysisTimeout when it takes longer than `limit` milliseconds, or rendering longer than its own limit
   * @throws AnalysisCancelled when `token` is cancelled first
   * @throws AnalysisCrash when the worker dies
   */
  request<P, R>(
    type: RequestType<P, R, void>,
    params: P,
    options: { token?: CancellationToken; limit?: number } = {},
  ): Promise<R> {
    const limit = options.limit ?? this.#limits.request;
    return new Promise<R>((resolve, reject) => {
      const job: Job = {
        fail: reject,
        run: async (connection) => {
          if (options.token?.isCancellationRequested) {
            reject(new AnalysisCancelled("Cancelled."));
            return;
          }
          await this.#guarded(connection, type, params, limit, options.token).then(resolve, reject);
        },
      };
      this.#queue.push(job);
      void this.#work();
    });
  }

  dispose(): void {
    this.#disposed = true;
    this.#stop();
    for (const job of this.#queue.splice(0)) job.fail(new AnalysisCancelled("The server is shutting down."));
  }

  async #work(): Promise<void> {
    if (this.#working >= this.#atOnce) return;
    this.#working++;
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      if (this.#disposed) job.fail(new AnalysisCancelled("The server is shutting down."));
      else await job.run(this.#started().connection);
    }
    this.#working--;
  }

  #started(): WorkerThread {
    if (this.#thread) return this.#thread;
    const thread = this.#launch();
    this.#thread = thread;
    thread.onExit(() => {
      if (this.#thread === thread) this.#stop();
    });
    thread.connection.listen();
    for (const listener of this.#startListeners) listener(thread.connection);
    return thread;
  }

  #stop(): void {
    const thread = this.#thread;
    this.#thread = null;
    if (!thread) return;
    thread.terminate();
    thread.connection.end();
    thread.connection.dispose();
  }

  #guarded<P, R>(
    connection: MessageConnection,
    type: RequestType<P, R, void>,
    params: P,
    limit: number,
    token: CancellationToken | undefined,
  ): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const source = new CancellationTokenSource();
      let rendering: NodeJS.Timeout | undefined;
      const giveUp = (milliseconds: number, template: string | null) => {
        finish();
        this.#stop();
        reject(new AnalysisTimeout(milliseconds, template));
      };
      const whole = setTimeout(() => giveUp(limit, null), limit);
      const renderingListener = connection.onNotification(renderingNotification, (event) => {
        clearTimeout(rendering);
        if (event.rendering) {
          rendering = setTimeout(
            () => giveUp(this.#limits.rendering, event.template),
            this.#limits.rendering,
          );
        }
      });
      const cancelListener = token?.onCancellationRequested(() => source.cancel());
      const closeListener = connection.onDispose(() => {
        finish();
        reject(
          this.#disposed
            ? new AnalysisCancelled("The server is shutting down.")
            : new AnalysisCrash(
                "The checks ended unexpectedly; the log says why. They have been started again.",
              ),
        );
      });
      const finish = () => {
        clearTimeout(whole);
        clearTimeout(rendering);
        renderingListener.dispose();
        cancelListener?.dispose();
        closeListener.dispose();
      };
      connection.sendRequest(type, params, source.token).then(
        (result) => {
          finish();
          if (token?.isCancellationRequested) reject(new AnalysisCancelled("Cancelled."));
          else resolve(result);
        },
        (error: unknown) => {
          finish();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}
