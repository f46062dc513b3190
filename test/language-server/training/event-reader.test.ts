import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EventReader, withoutAbandoned } from "../../../language-server/src/training/event-reader";
import type { RunEvent } from "../../../language-server/src/training/events";

const time = "2025-01-01T00:00:00.000Z";
const warning = (message: string) => JSON.stringify({ event: "warning", time, message });
const step = (n: number) =>
  JSON.stringify({
    event: "step",
    time,
    step: n,
    epoch: n / 10,
    loss: 1 / n,
    learning_rate: 1e-3,
    grad_norm: null,
    tokens: 10,
    supervised_tokens: 5,
    tokens_per_second: 100,
    memory_bytes: 1000,
    seconds: 0.1,
  });
const started = (from?: number) =>
  JSON.stringify({
    event: "run_started",
    time,
    device: "cpu",
    parameters: 1,
    trainable_parameters: 1,
    steps: 10,
    ...(from === undefined ? {} : { resumed_from: from }),
  });

function file(): string {
  return join(mkdtempSync(join(tmpdir(), "ziptie-events-")), "events.jsonl");
}

const messages = (events: RunEvent[]) =>
  events.map((event) => (event.event === "warning" ? event.message : ""));

describe("reading events as they are written", () => {
  test("each read gives what was completed since the last", async () => {
    const path = file();
    const reader = new EventReader(path);
    expect((await reader.read()).events).toEqual([]);
    writeFileSync(path, `${warning("one")}\n${warning("two")}\n`);
    expect(messages((await reader.read()).events)).toEqual(["one", "two"]);
    appendFileSync(path, `${warning("three")}\n`);
    expect(messages((await reader.read()).events)).toEqual(["three"]);
    expect((await reader.read()).events).toEqual([]);
  });

  test("a line is read once it is whole, even when it is cut within a character", async () => {
    const path = file();
    const reader = new EventReader(path);
    const bytes = Buffer.from(`${warning("訓練 🎓")}\n`);
    let read: string[] = [];
    for (let i = 0; i < bytes.length; i++) {
      appendFileSync(path, bytes.subarray(i, i + 1));
      const news = messages((await reader.read()).events);
      if (i < bytes.length - 1) expect(news).toEqual([]);
      read = [...read, ...news];
    }
    expect(read).toEqual(["訓練 🎓"]);
  });

  test("garbage, unknown events and wrong types are passed over and counted", async () => {
    const path = file();
    const lines = [
      "not json",
      "[1]",
      "null",
      '{"event":"moon_phase"}',
      '{"event":"step","step":"x"}',
      "\0\0",
      warning("ok"),
    ];
    writeFileSync(path, `${lines.join("\n")}\n`);
    const reader = new EventReader(path);
    expect(messages((await reader.read()).events)).toEqual(["ok"]);
    expect(reader.skippedLines).toBe(6);
  });

  test("an event written behind a killed engine's half line is not lost", async () => {
    const path = file();
    writeFileSync(path, `${step(1).slice(0, 40)}${warning("resumed")}\n`);
    expect(messages((await new EventReader(path).read()).events)).toEqual(["resumed"]);
  });

  test("a file that was replaced or cut short is read from its beginning", async () => {
    const path = file();
    const reader = new EventReader(path);
    writeFileSync(path, `${warning("a long one, longer than the next")}\n`);
    await reader.read();
    writeFileSync(path, `${warning("short")}\n`);
    const cut = await reader.read();
    expect([cut.restarted, ...messages(cut.events)]).toEqual([true, "short"]);
    rmSync(path);
    expect(await reader.read()).toEqual({ events: [], restarted: true });
  });

  test("an endless line takes no memory and the next line is read", async () => {
    const path = file();
    writeFileSync(path, `${"x".repeat(5 << 20)}\n${warning("after")}\n`);
    expect(messages((await new EventReader(path).read()).events)).toEqual(["after"]);
  });

  test("50,000 steps are read in one go, in order", async () => {
    const path = file();
    writeFileSync(path, Array.from({ length: 50_000 }, (_, i) => `${step(i + 1)}\n`).join(""));
    const { events } = await new EventReader(path).read();
    expect(events).toHaveLength(50_000);
    expect(events.every((event, i) => event.event === "step" && event.step === i + 1)).toBe(true);
  });
});

test("of a run that began again every point is forgotten, that before its first step too", async () => {
  const path = file();
  const evaluation = JSON.stringify({ event: "evaluation", time, step: 0, loss: 4, tokens: 10 });
  const lines = [started(), evaluation, step(1), started(0), evaluation, step(1)];
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  const { events } = await new EventReader(path).read();
  const kept = withoutAbandoned(events).map(({ event }) => event);
  expect(kept).toEqual(["run_started", "run_started", "evaluation", "step"]);
});

test("points after the step that a resumed run began from are forgotten", async () => {
  const path = file();
  const lines = [started(), step(1), step(2), step(3), warning("kept"), started(2), step(3), step(4)];
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  const { events } = await new EventReader(path).read();
  const kept = withoutAbandoned(events).map((event) => (event.event === "step" ? event.step : event.event));
  expect(kept).toEqual(["run_started", 1, 2, "warning", "run_started", 3, 4]);
});
