import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { WatchedRuns } from "../../../language-server/src/training/watched-runs";
import { preparedRun, temporaryDirectory } from "./fake-engine";

test("two requests to watch a run at once both get the whole history", async () => {
  const directory = temporaryDirectory();
  const run = preparedRun(directory, "sft-1");
  const steps = [1, 2, 3].map((step) => ({
    event: "step",
    time: "2025-03-01T09:00:00.000Z",
    step,
    epoch: 0.5,
    loss: 2,
    learning_rate: 1e-4,
    grad_norm: 1,
    tokens: 64,
    supervised_tokens: 64,
    seconds: 1,
    tokens_per_second: 100,
    memory_bytes: 1000,
  }));
  writeFileSync(join(run, "events.jsonl"), steps.map((step) => `${JSON.stringify(step)}\n`).join(""));
  const watched = new WatchedRuns(
    () => {},
    (error) => {
      throw error;
    },
  );
  onTestFinished(() => {
    watched.dispose();
    rmSync(directory, { recursive: true, force: true });
  });
  const histories = await Promise.all([watched.watch(run), watched.watch(run)]);
  for (const { events } of histories) {
    expect(events.map((event) => event.event === "step" && event.step)).toEqual([1, 2, 3]);
  }
});
