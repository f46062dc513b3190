import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CancellationTokenSource, RequestType } from "vscode-languageserver";
import {
  AnalysisCancelled,
  AnalysisCrash,
  AnalysisTimeout,
  AnalysisWorker,
  type WorkerThread,
} from "../../../language-server/src/features/analysis-worker";
import { launchWorkerThread } from "../../../language-server/src/features/worker-thread";
import { Session, workspace } from "../server/session";

const root = join(import.meta.dirname, "../../..");
let folder: string;

/** Bundles a worker of a test's own, or the real one. */
async function bundle(name: string, source: { entry: string } | { code: string }): Promise<string> {
  const outfile = join(folder, name);
  await build({
    absWorkingDir: root,
    ...("entry" in source
      ? { entryPoints: [source.entry] }
      : { stdin: { contents: source.code, resolveDir: root, loader: "ts" as const } }),
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    mainFields: ["module", "main"],
    external: ["tokenizers"],
    logLevel: "error",
  });
  return outfile;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ziptie-worker-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const echo = new RequestType<string, string, void>("echo");
const spin = new RequestType<{ rendering?: string }, string, void>("spin");
const untilCancelled = new RequestType<null, string, void>("untilCancelled");
const die = new RequestType<null, string, void>("die");

describe("the worker thread", () => {
  let script: string;
  beforeAll(async () => {
    script = await bundle("test-worker.js", {
      code: `
        import { parentPort } from "node:worker_threads";
        import { CancellationSenderStrategy, createMessageConnection, PortMessageReader, PortMessageWriter, SharedArrayReceiverStrategy } from "vscode-languageserver/node";
        const connection = createMessageConnection(new PortMessageReader(parentPort), new PortMessageWriter(parentPort), undefined,
          { cancellationStrategy: { receiver: new SharedArrayReceiverStrategy(), sender: CancellationSenderStrategy.Message } });
        connection.onRequest("echo", (text) => text);
        connection.onRequest("spin", ({ rendering }) => {
          if (rendering) void connection.sendNotification("rendering", { rendering: true, template: rendering });
          for (;;);
        });
        connection.onRequest("untilCancelled", (_, token) => { while (!token.isCancellationRequested); return "stopped"; });
        connection.onRequest("die", () => process.exit(1));
        connection.listen();
      `,
    });
  }, 60_000);

  function started(limits = { request: 60_000, rendering: 60_000 }): {
    worker: AnalysisWorker;
    starts: () => number;
  } {
    let starts = 0;
    const worker = new AnalysisWorker((): WorkerThread => {
      starts++;
      return launchWorkerThread(script);
    }, limits);
    return { worker, starts: () => starts };
  }

  test("starts when it is first needed", async () => {
    const { worker, starts } = started();
    expect(starts()).toBe(0);
    expect(await worker.request(echo, "中文")).toBe("中文");
    worker.dispose();
  });

  test("is ended when a request takes too long, and a fresh one takes its place", async () => {
    const { worker, starts } = started();
    const [slow, after] = await Promise.allSettled([
      worker.request(spin, {}, { limit: 300 }),
      worker.request(echo, "after"),
    ]);
    expect(slow).toMatchObject({ status: "rejected", reason: expect.any(AnalysisTimeout) });
    expect(after).toEqual({ status: "fulfilled", value: "after" });
    expect(starts()).toBe(2);
    worker.dispose();
  });

  test("gives rendering a limit of its own and names the template", async () => {
    const { worker } = started({ request: 60_000, rendering: 200 });
    await expect(worker.request(spin, { rendering: "chat.jinja" })).rejects.toThrow(
      /The template chat\.jinja took longer than 0\.2 s/,
    );
    worker.dispose();
  });

  test("sees a cancellation in the middle of its work", async () => {
    const { worker, starts } = started();
    await worker.request(echo, "ready");
    const source = new CancellationTokenSource();
    const answer = worker.request(untilCancelled, null, { token: source.token });
    source.cancel();
    await expect(answer).rejects.toThrow(AnalysisCancelled);
    expect(await worker.request(echo, "still the same")).toBe("still the same");
    expect(starts()).toBe(1);
    worker.dispose();
  });

  test("never hears of a request that was cancelled while it waited", async () => {
    const { worker } = started();
    const source = new CancellationTokenSource();
    const first = worker.request(echo, "first");
    const waiting = worker.request(spin, {}, { token: source.token });
    source.cancel();
    expect(await first).toBe("first");
    await expect(waiting).rejects.toThrow(AnalysisCancelled);
    worker.dispose();
  });

  test("that dies by itself fails its request, and is started again", async () => {
    const { worker, starts } = started();
    await expect(worker.request(die, null)).rejects.toThrow(AnalysisCrash);
    expect(await worker.request(echo, "again")).toBe("again");
    expect(starts()).toBe(2);
    worker.dispose();
  });

  test("going down fails what waits", async () => {
    const { worker } = started();
    const requests = Promise.allSettled([worker.request(spin, {}), worker.request(echo, "never")]);
    worker.dispose();
    for (const outcome of await requests) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(AnalysisCancelled) });
    }
  });
});

describe("the server with a real worker thread", () => {
  let script: string;
  beforeAll(async () => {
    script = await bundle("worker.js", { entry: "language-server/src/worker.ts" });
  }, 60_000);

  test("a file that takes too long says so, and the open files are checked again by the fresh worker", async () => {
    let isHasty = true;
    const session = await Session.start({
      enabled: ["diagnostics"],
      folder: workspace({}),
      // The first worker is given no time at all.
      limits: {
        get request() {
          return isHasty ? 0 : 60_000;
        },
        rendering: 60_000,
      },
      launchWorker: () => launchWorkerThread(script),
    });
    const uri = await session.open("rows.jsonl", '{"text": "a"}\n{"text": 1}\n', "jsonl");
    expect(await session.diagnostics(uri)).toMatchObject([
      { code: "time-limit", severity: 2, message: expect.stringContaining("given up") },
    ]);
    isHasty = false;
    await session.change(uri, "2", { start: { line: 1, character: 9 }, end: { line: 1, character: 10 } });
    expect(await session.diagnostics(uri)).toMatchObject([
      { code: "wrong-value-type", range: { start: { line: 1, character: 9 } } },
    ]);
  });

  test("a template that never ends is given up, and its dataset goes on being checked", async () => {
    const session = await Session.start({
      enabled: ["diagnostics"],
      folder: workspace({}),
      launchWorker: () => launchWorkerThread(script),
    });
    const loop =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}";
    const template = await session.open("loop.jinja", loop, "jinja");
    const rows = await session.open("rows.jsonl", '{"text": 1}\n', "jsonl");
    const [first] = await session.diagnostics(template);
    expect(["time-limit", "template-unsupported"]).toContain(first?.code);
    expect(await session.diagnostics(rows)).toMatchObject([{ code: "wrong-value-type" }]);
  });
});
