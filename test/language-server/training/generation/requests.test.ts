/** Generating as the editor asks for it: events in order, in batches, and what cancelling leaves. */
import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { CancellationTokenSource } from "vscode-languageserver/node";
import {
  exportModelRequest,
  type GenerateParams,
  type GenerationEvent,
  generatedNotification,
  generateRequest,
} from "../../../../language-server/src/protocol";
import { Session, workspace } from "../../server/session";

const example = resolve(__dirname, "../../../../examples/traditional-chinese");

/** A run at a checkpoint, and a program that answers in the engine's stead by a shell script. */
function folderWith(script: string): string {
  const folder = workspace({
    "base.ziptie.yaml": "",
    "prompts.jsonl": '{"id": "a", "prompt": "一"}\n{"id": "b", "prompt": "二"}\n',
    "runs/base-1/checkpoints/step-3/state.json": "{}",
    engine: `#!/bin/sh\n${script}\n`,
  });
  cpSync(join(example, "tokenizer"), join(folder, "tokenizer"), { recursive: true });
  const plan = {
    stage: "pretrain",
    model: { architecture: { max_position_embeddings: 64 } },
    tokenizer_files: [join(folder, "tokenizer/tokenizer.json")],
    adapter: null,
  };
  writeFileSync(join(folder, "runs/base-1/plan.json"), JSON.stringify(plan));
  const record = { config: join(folder, "base.ziptie.yaml"), started: "", name: "base-1" };
  writeFileSync(join(folder, "runs/base-1/run.json"), JSON.stringify(record));
  chmodSync(join(folder, "engine"), 0o755);
  return folder;
}

async function sessionWith(script: string) {
  const folder = folderWith(script);
  const settings = { engine: { path: join(folder, "engine") } };
  const session = await Session.start({ enabled: ["generation"], folder, settings });
  const events: GenerationEvent[] = [];
  let seen = () => {};
  session.client.onNotification(
    generatedNotification.method,
    (sent: { job: string; events: GenerationEvent[] }) => {
      expect(sent.job).toBe("job");
      events.push(...sent.events);
      seen();
    },
  );
  const params: GenerateParams = {
    model: join(folder, "runs/base-1"),
    prompts: { path: join(folder, "prompts.jsonl") },
    job: "job",
    workDoneToken: "progress",
  };
  const generate = (token?: CancellationTokenSource["token"]) =>
    session.client.sendRequest(generateRequest.method, params, token);
  const next = () =>
    new Promise<void>((fulfil) => {
      seen = fulfil;
    });
  return { session, folder, events, generate, next };
}

/** Lines of the engine. Which tokens they are does not matter. */
const said = (...lines: object[]) => lines.map((line) => `echo '${JSON.stringify(line)}'`).join("\n");

describe("answers", () => {
  test("come one after the other, whichever the engine has first", async () => {
    const { events, generate } = await sessionWith(
      said(
        { id: 1, token: 300 },
        { id: 0, token: 301 },
        { id: 1, output_ids: [300], finish: "stop" },
        { id: 0, token: 302 },
        { id: 0, output_ids: [301, 302], finish: "length" },
      ),
    );
    expect(await generate()).toEqual({ answers: 2 });
    expect(events.map(({ event }) => event)).toEqual([
      "begin",
      "prompt",
      "text",
      "answer",
      "prompt",
      "text",
      "answer",
    ]);
    expect(events[0]).toEqual({
      event: "begin",
      prompts: 2,
      about: "base-1, step 3: prompts are texts to be continued.",
    });
    const told = events.flatMap((event) => (event.event === "answer" ? [event] : []));
    expect(told).toMatchObject([
      { id: "a", prompt: "一", tokens: 2, finish: "length" },
      { id: "b", prompt: "二", tokens: 1, finish: "stop" },
    ]);
    const texts = events.flatMap((event) => (event.event === "text" ? [event.text] : []));
    expect(texts).toEqual(told.map(({ answer }) => answer));
  });

  test("that are whole are kept when the rest is cancelled", async () => {
    const { events, generate, next } = await sessionWith(
      `${said({ id: 1, output_ids: [300], finish: "stop" }, { id: 0, token: 301 })}\nexec sleep 60`,
    );
    const source = new CancellationTokenSource();
    const answering = generate(source.token);
    while (!events.some(({ event }) => event === "text")) await next();
    source.cancel();
    await expect(answering).rejects.toThrow("Cancelled.");
    const kinds = events.map((event) => `${event.event} ${"id" in event ? event.id : ""}`.trim());
    expect(kinds).toEqual(["begin", "prompt a", "text", "broken_off a", "prompt b", "answer b"]);
    expect(events.some((event) => event.event === "answer" && event.id === "a")).toBe(false);
  });

  test.each([
    [
      "what the engine refuses",
      'echo "ziptie-engine: the KV cache does not fit" >&2; exit 1',
      "the KV cache does not fit",
    ],
    ["an engine that gives up without a word", "exit 0", "The engine ended after 0 of 2 answers."],
  ])("%s is a refusal", async (_, script, refused) => {
    const { generate } = await sessionWith(script);
    expect(await generate()).toEqual({ refused });
  });

  test("a prompt that is none leads to its place", async () => {
    const { folder, generate, session } = await sessionWith("exit 0");
    writeFileSync(join(folder, "prompts.jsonl"), '{"prompt": "一"}\n{"text": "二"}\n');
    expect(await generate()).toMatchObject({
      refused: expect.stringContaining("There is no prompt here"),
      location: { uri: session.uri("prompts.jsonl"), range: { start: { line: 1, character: 0 } } },
    });
  });
});

describe("exporting", () => {
  test("what has no adapter is refused", async () => {
    const { session, folder } = await sessionWith("exit 0");
    mkdirSync(join(folder, "runs/base-1/model"));
    const answer = await session.client.sendRequest(exportModelRequest.method, {
      run: join(folder, "runs/base-1"),
      output: join(folder, "out"),
      workDoneToken: "progress",
    });
    expect(answer).toMatchObject({ refused: expect.stringContaining("trained every weight") });
  });
});
