import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import {
  CancellationTokenSource,
  createConnection,
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver/node";
import type { ServerContext } from "../../../language-server/src/features/context";
import { OpenDocuments } from "../../../language-server/src/features/open-documents";
import { register } from "../../../language-server/src/features/runs";
import { parseSettings } from "../../../language-server/src/features/settings";
import {
  listRunsRequest,
  planRequest,
  type RunEvent,
  type RunHistory,
  type RunSummary,
  resumeRunRequest,
  runEventsNotification,
  runsChangedNotification,
  startTrainingRequest,
  stopRunRequest,
  unwatchRunRequest,
  watchRunRequest,
} from "../../../language-server/src/protocol";
import { openRun, stopRun, waitForEnd } from "../../../language-server/src/training/runs";
import { type Behaviour, fakeEngine, temporaryDirectory, until } from "./fake-engine";

const example = resolve(__dirname, "../../../examples/traditional-chinese");

/** A server with nothing but the requests about runs, and a client of it, in this process. */
class Session {
  readonly client: MessageConnection;
  readonly events: RunEvent[] = [];
  lists: RunSummary[][] = [];
  progress: unknown[] = [];
  lensRefreshes = 0;
  #shutdown: (() => void)[] = [];

  constructor(folder: string, enginePath: string) {
    const [toServer, toClient] = [new PassThrough(), new PassThrough()];
    const connection = createConnection(new StreamMessageReader(toServer), new StreamMessageWriter(toClient));
    const documents = new OpenDocuments();
    const context = {
      connection,
      documents,
      workspaceFolders: () => [folder],
      settings: () => parseSettings({ engine: { path: enginePath } }),
      onShutdown: (listener: () => void) => this.#shutdown.push(listener),
      onInitialized: (listener: (client: object) => void) =>
        listener({ workspace: { codeLens: { refreshSupport: true } } }),
    };
    connection.onInitialize(() => ({ capabilities: {} }));
    register(context as unknown as ServerContext);
    documents.listen(connection);
    connection.listen();
    this.client = createMessageConnection(
      new StreamMessageReader(toClient),
      new StreamMessageWriter(toServer),
    );
    this.client.onNotification(runEventsNotification.method, ({ events }) => this.events.push(...events));
    this.client.onNotification(runsChangedNotification.method, ({ runs }) => this.lists.push(runs));
    this.client.onRequest("workspace/codeLens/refresh", () => {
      this.lensRefreshes++;
      return null;
    });
    this.client.onNotification("$/progress", ({ value }) => this.progress.push(value));
    this.client.listen();
  }

  async initialize(): Promise<void> {
    await this.client.sendRequest("initialize", { processId: null, rootUri: null, capabilities: {} });
    await this.client.sendNotification("initialized", {});
  }

  request<Result>(name: { method: string }, params: object): Promise<Result> {
    return this.client.sendRequest(name.method, params);
  }

  end(): void {
    for (const listener of this.#shutdown) listener();
    this.client.dispose();
  }
}

let directory: string;
let config: string;
let sessions: Session[] = [];
beforeEach(() => {
  directory = temporaryDirectory();
  cpSync(join(example, "tokenizer"), join(directory, "tokenizer"), { recursive: true });
  writeFileSync(join(directory, "rows.jsonl"), '{"text": "一"}\n{"text": "two"}\n');
  config = join(directory, "base.ziptie.yaml");
  writeFileSync(config, text());
  return async () => {
    for (const session of sessions) session.end();
    sessions = [];
    for (const name of readdirSync(directory)) {
      if (name !== "runs") continue;
      for (const run of readdirSync(join(directory, name))) {
        const engine = await (await openRun(join(directory, name, run))).run.engine();
        if (engine !== undefined) await waitForEnd(await stopRun(join(directory, name, run)));
      }
    }
    rmSync(directory, { recursive: true, force: true });
  };
});

const text = (more = "max_steps: 5") =>
  `stage: pretrain
model: { model_type: llama, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 64 }
tokenizer_name_or_path: tokenizer
dataset: rows.jsonl
max_length: 64
${more}
`;

async function session(behaviour: Behaviour): Promise<Session> {
  const made = new Session(directory, fakeEngine(directory, behaviour).path);
  sessions.push(made);
  await made.initialize();
  return made;
}

const uri = () => pathToFileURL(config).href;

describe("planning", () => {
  test("a plan is answered with steps, tokens and everything that is trained", async () => {
    const client = await session("trains");
    const plan = await client.request<Record<string, unknown>>(planRequest, { uri: uri() });
    expect(plan).toMatchObject({
      stage: "pretrain",
      steps: 5,
      steps_per_epoch: 0.25,
      rows: 2,
      rows_dropped: 0,
      warnings: [],
    });
    expect(plan.trainable).toContainEqual({
      name: "model.layers.0.mlp.down_proj.weight",
      shape: [16, 24],
      learning_rate: expect.any(Number),
    });
    expect(readdirSync(directory)).not.toContain("runs");
  });

  test("an open buffer wins over the disk, and its first error is refused with its place", async () => {
    const client = await session("trains");
    await client.client.sendNotification("textDocument/didOpen", {
      textDocument: { uri: uri(), languageId: "yaml", version: 1, text: text("max_stepz: 5") },
    });
    const refusal = await client.request(planRequest, { uri: uri() });
    expect(refusal).toEqual({
      refused: expect.stringContaining("max_steps"),
      location: { uri: uri(), range: { start: { line: 5, character: 0 }, end: { line: 5, character: 9 } } },
    });
    expect(await client.request(startTrainingRequest, { uri: uri() })).toEqual(refusal);
    expect(readdirSync(directory)).not.toContain("runs");
  });
});

describe("starting, watching, stopping, resuming", () => {
  test("a run is started with progress, watched live, stopped and resumed", async () => {
    const client = await session("waits");
    expect(await client.request(listRunsRequest, {})).toEqual([]);
    const { run } = await client.request<{ run: string }>(startTrainingRequest, {
      uri: uri(),
      workDoneToken: "p",
    });
    expect(run).toBe(join(directory, "runs", "base-1"));
    expect(client.progress).toContainEqual(expect.objectContaining({ kind: "begin" }));
    expect(client.progress.at(-1)).toEqual({ kind: "end" });

    const history = await client.request<RunHistory>(watchRunRequest, { run });
    const seen = () => [...history.events, ...client.events];
    await until(async () => seen().some((event) => event.event === "step" && event.step === 3));
    await until(async () => client.lists.at(-1)?.[0]?.state === "running" || undefined);
    expect(await client.request(startTrainingRequest, { uri: uri() })).toEqual({ alreadyRunning: run });
    expect(await client.request(resumeRunRequest, { run })).toEqual({ alreadyRunning: run });

    expect(await client.request(stopRunRequest, { run })).toEqual({});
    await until(async () => seen().some(({ event }) => event === "run_finished"));
    await until(async () => client.lists.at(-1)?.[0]?.state === "stopped" || undefined);
    expect(
      seen()
        .filter((event) => event.event === "step")
        .map((event) => event.event === "step" && event.step),
    ).toEqual([1, 2, 3]);

    expect(client.lensRefreshes).toBe(0);
    expect(await client.request(resumeRunRequest, { run })).toEqual({ run });
    await until(
      async () =>
        seen().at(-1)?.event === "run_finished" &&
        seen().some((event) => event.event === "step" && event.step === 5),
    );
    await until(async () => client.lists.at(-1)?.[0]?.state === "finished" || undefined);
    // The lens of a config that begins with this one's model has numbers to show now.
    await until(async () => client.lensRefreshes === 1);
  });

  test("a second window sees the whole history of a run that the first one started", async () => {
    const first = await session("waits");
    const { run } = await first.request<{ run: string }>(startTrainingRequest, { uri: uri() });
    first.end();
    sessions = sessions.filter((each) => each !== first);
    const second = await session("waits");
    const runs = await second.request<RunSummary[]>(listRunsRequest, {});
    expect(runs).toMatchObject([{ run, name: "base-1", config }]);
    await until(async () => {
      const { events } = await second.request<RunHistory>(watchRunRequest, { run });
      return events.filter(({ event }) => event === "step").length === 3;
    });
  });

  test("runs that nobody watches send no events", async () => {
    const client = await session("trains");
    const { run } = await client.request<{ run: string }>(startTrainingRequest, { uri: uri() });
    await client.request(watchRunRequest, { run });
    await client.request(unwatchRunRequest, { run });
    client.events.length = 0;
    await until(async () => (await openRun(run)).summary.state === "finished");
    await client.request(listRunsRequest, {});
    expect(client.events).toEqual([]);
  });

  test("a cancelled start is answered as cancelled and leaves nothing", async () => {
    writeFileSync(join(directory, "rows.jsonl"), '{"text": "rows and rows"}\n'.repeat(20_000));
    const client = await session("trains");
    const source = new CancellationTokenSource();
    const answer = client.client.sendRequest(
      startTrainingRequest.method,
      { uri: uri(), workDoneToken: "p" },
      source.token,
    );
    await until(async () => client.progress.length > 1);
    source.cancel();
    await expect(answer).rejects.toThrow(/Cancelled/);
    expect(readdirSync(join(directory, "runs"))).toEqual([]);
  });

  test("an engine that cannot be loaded is refused with its own words, and leaves no run", async () => {
    const client = await session("broken");
    expect(await client.request(startTrainingRequest, { uri: uri() })).toEqual({
      refused: expect.stringContaining("libdnnl.so.2: cannot open shared object file"),
    });
    expect(readdirSync(join(directory, "runs"))).toEqual([]);
  });

  test("a missing engine is refused before anything is prepared", async () => {
    mkdirSync(join(directory, "bin"));
    const client = new Session(directory, join(directory, "bin", "none"));
    sessions.push(client);
    await client.initialize();
    expect(await client.request(startTrainingRequest, { uri: uri() })).toEqual({
      refused: expect.stringMatching(/There is no engine at .*none/),
    });
    expect(readdirSync(directory)).not.toContain("runs");
  });
});
