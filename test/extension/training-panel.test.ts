import { beforeEach, expect, test, vi } from "vitest";
import type { WebviewPanel } from "vscode";
import type { RunList } from "../../extension/src/runs/run-list";
import { emptySeries } from "../../extension/src/training/run-series";
import { type PanelActions, TrainingPanel } from "../../extension/src/training/training-panel";
import type { WatchedRuns } from "../../extension/src/training/watched-runs";

vi.mock("vscode", () => ({
  Disposable: {
    from: (...parts: { dispose(): void }[]) => ({
      dispose: () => parts.forEach((part) => void part.dispose()),
    }),
  },
  Uri: { joinPath: () => ({}), file: () => ({}) },
  env: { language: "en" },
  l10n: { bundle: undefined },
  window: { showErrorMessage: () => undefined },
  workspace: {},
}));

const run = "/project/runs/sft-1";
const nothing = { dispose: () => undefined };
let load: { succeed(): void; fail(error: Error): void };
let released: string[];
let posted: unknown[];
let panel: TrainingPanel;
let page: { say(message: unknown): void; hide(): void };

beforeEach(() => {
  released = [];
  posted = [];
  const webview = {
    visible: true,
    say: (_message: unknown): void => undefined,
    change: (): void => undefined,
  };
  page = {
    say: (message) => webview.say(message),
    hide() {
      webview.visible = false;
      webview.change();
    },
  };
  const loaded = new Promise<void>((succeed, fail) => {
    load = { succeed, fail };
  });
  const summary = { run, state: "running" };
  panel = new TrainingPanel(
    {
      get visible() {
        return webview.visible;
      },
      onDidChangeViewState(listener: () => void) {
        webview.change = listener;
        return nothing;
      },
      webview: {
        asWebviewUri: () => "",
        postMessage: (message: unknown) => posted.push(message),
        onDidReceiveMessage(listener: (message: unknown) => void) {
          webview.say = listener;
          return nothing;
        },
      },
    } as unknown as WebviewPanel,
    run,
    {} as never,
    { runs: [], get: () => summary, onDidChange: () => nothing } as unknown as RunList,
    {
      onDidChange: () => nothing,
      acquire: vi.fn(() => loaded),
      release: (each: string) => released.push(each),
      series: () => emptySeries(),
    } as unknown as WatchedRuns,
    {} as PanelActions,
  );
});

/** Resolves once the panel waits for its run. */
async function askForSnapshot(): Promise<void> {
  page.say({ type: "ready" });
  const { acquire } = (panel as unknown as { watched: { acquire: () => void } }).watched;
  await vi.waitFor(() => expect(acquire).toHaveBeenCalledOnce());
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a panel on screen gets its run", async () => {
  await askForSnapshot();
  load.succeed();
  await settled();
  expect(posted).toMatchObject([{ type: "snapshot", primary: run }]);
});

test("a panel that was hidden while its run was loading is sent nothing", async () => {
  await askForSnapshot();
  page.hide();
  load.succeed();
  await settled();
  expect(posted).toEqual([]);
});

test("a panel that was closed while its run was loading is sent nothing and gives the run up once", async () => {
  await askForSnapshot();
  panel.dispose();
  load.fail(new Error("the server is gone"));
  await settled();
  expect(posted).toEqual([]);
  expect(released).toEqual([run]);
});
