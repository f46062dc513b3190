import { beforeEach, expect, test, vi } from "vitest";
import type { ServerConnection } from "../../extension/src/language-client";
import { WatchedRuns } from "../../extension/src/training/watched-runs";
import { type RunEvent, type RunHistory, watchRunRequest } from "../../language-server/src/protocol";

vi.mock("vscode", () => ({
  EventEmitter: class<T> {
    readonly #listeners: ((value: T) => void)[] = [];
    readonly event = (listener: (value: T) => void) => void this.#listeners.push(listener);
    fire(value: T): void {
      for (const listener of this.#listeners) listener(value);
    }
    dispose(): void {
      this.#listeners.length = 0;
    }
  },
}));

const run = "/project/runs/sft-1";
const step = (number: number): RunEvent => ({
  event: "step",
  time: "2025-03-01T09:00:00.000Z",
  step: number,
  epoch: 0,
  loss: 2,
  learning_rate: 1e-4,
  grad_norm: 1,
  tokens: 64,
  supervised_tokens: 64,
  seconds: 1,
  tokens_per_second: 100,
  memory_bytes: 1000,
});
const history = (...steps: number[]): RunHistory => ({
  summary: {
    run,
    name: "sft-1",
    state: "running",
    step: 1,
    steps: 5,
    loss: 2,
    evaluation_loss: null,
    started: "2025-03-01T09:00:00.000Z",
    config: "/project/sft.ziptie.yaml",
    resumable: false,
    exportable: false,
  },
  events: steps.map(step),
});

/** A connection whose requests to watch stay open until the test answers them. */
class FakeServer {
  readonly asked: { answer(history: RunHistory): void; fail(error: Error): void }[] = [];
  #start: () => void = () => {};
  #notify: (params: { run: string; events: RunEvent[] }) => void = () => {};

  readonly connection = {
    onDidStart: (listener: () => void) => {
      this.#start = listener;
    },
    onNotification: (_name: unknown, handler: (params: { run: string; events: RunEvent[] }) => void) => {
      this.#notify = handler;
    },
    request: (name: unknown) =>
      name === watchRunRequest
        ? new Promise((resolve, reject) => this.asked.push({ answer: resolve, fail: reject }))
        : Promise.resolve(undefined),
  } as unknown as ServerConnection;

  started(): void {
    this.#start();
  }

  tell(...steps: number[]): void {
    this.#notify({ run, events: steps.map(step) });
  }
}

let server: FakeServer;
let watched: WatchedRuns;
beforeEach(() => {
  server = new FakeServer();
  watched = new WatchedRuns(server.connection);
});
const steps = () => watched.series(run)?.step;

test("a run that is asked for while the server starts is loaded once, and events that came early are kept", async () => {
  const acquired = watched.acquire(run);
  server.started();
  expect(server.asked).toHaveLength(1);
  server.tell(3);
  server.asked[0]?.answer(history(1, 2));
  await acquired;
  expect(steps()).toEqual([1, 2, 3]);
});

test("after a restart the history is asked for again; what was shown stays until it is there", async () => {
  const acquired = watched.acquire(run);
  server.asked[0]?.answer(history(1, 2));
  await acquired;
  const reloaded = new Promise((resolve) => watched.onDidChange(resolve));
  server.started();
  expect(server.asked).toHaveLength(2);
  expect(steps()).toEqual([1, 2]);
  server.asked[1]?.answer(history(1, 2, 3));
  expect(await reloaded).toEqual({ run, rewound: true });
  expect(steps()).toEqual([1, 2, 3]);
});

test("a reload that failed is made good by the next start", async () => {
  const acquired = watched.acquire(run);
  server.asked[0]?.answer(history(1));
  await acquired;
  server.started();
  server.asked[1]?.fail(new Error("the server is gone"));
  await vi.waitFor(() => {
    server.started();
    expect(server.asked).toHaveLength(3);
  });
  const reloaded = new Promise((resolve) => watched.onDidChange(resolve));
  server.asked[2]?.answer(history(1, 2));
  await reloaded;
  expect(steps()).toEqual([1, 2]);
});
