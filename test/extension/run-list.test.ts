import { beforeEach, expect, test, vi } from "vitest";
import { type RunEnded, RunList } from "../../extension/src/runs/run-list";
import type { RunState, RunSummary } from "../../language-server/src/protocol";

vi.mock("vscode", () => ({
  commands: { executeCommand: () => Promise.resolve() },
  EventEmitter: class<T> {
    #listeners: ((event: T) => void)[] = [];
    event = (listener: (event: T) => void) => this.#listeners.push(listener);
    fire = (event: T) => {
      for (const listener of this.#listeners) listener(event);
    };
    dispose(): void {}
  },
}));

let say: (runs: RunSummary[]) => void;
let list: RunList;
let told: string[];

const run = (name: string, state: RunState): RunSummary => ({
  run: `/project/runs/${name}`,
  name,
  state,
  step: 2,
  steps: 50,
  loss: null,
  evaluation_loss: null,
  started: "2026-01-01T00:00:00.000Z",
  config: "/project/base.ziptie.yaml",
  resumable: false,
  exportable: false,
});

beforeEach(() => {
  told = [];
  list = new RunList({
    onNotification: (_name: unknown, handler: (params: { runs: RunSummary[] }) => void) => {
      say = (runs) => handler({ runs });
    },
    onDidStart: () => undefined,
  } as unknown as ConstructorParameters<typeof RunList>[0]);
  list.onDidEnd(({ run, before }: RunEnded) => told.push(`${run.name}: ${before} to ${run.state}`));
});

test("the end of a run that was seen going on is told once", () => {
  say([run("base-1", "running")]);
  say([run("base-1", "finished")]);
  say([run("base-1", "finished")]);
  expect(told).toEqual(["base-1: running to finished"]);
});

test("runs that had ended before this window looked are not told", () => {
  say([run("base-1", "failed")]);
  say([run("base-1", "failed"), run("base-2", "running")]);
  expect(told).toEqual([]);
});

test("a run that this window started and that failed before it was seen is told, whichever comes first", () => {
  say([]);
  list.started("/project/runs/base-1");
  say([run("base-1", "failed")]);
  expect(told).toEqual(["base-1: preparing to failed"]);

  say([run("base-1", "failed"), run("base-2", "failed")]);
  list.started("/project/runs/base-2");
  list.started("/project/runs/base-2");
  expect(told).toEqual(["base-1: preparing to failed", "base-2: preparing to failed"]);
});

test("resuming a run does not tell of its earlier end", () => {
  say([run("base-1", "stopped")]);
  list.started("/project/runs/base-1");
  say([run("base-1", "running")]);
  say([run("base-1", "finished")]);
  expect(told).toEqual(["base-1: running to finished"]);
});
