/** The engine as a child of a program: what goes wrong on either side ends both. */
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import type { EngineLocation } from "../../../language-server/src/training/engine";
import { runEngine } from "../../../language-server/src/training/engine-process";
import { temporaryDirectory } from "./fake-engine";

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  return () => rmSync(directory, { recursive: true, force: true });
});

function engine(script: string): EngineLocation {
  const path = join(directory, "engine");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { path, origin: "the setting ziptie.engine.path" };
}
const { signal } = new AbortController();

test("what a reader of its lines throws ends it, and is the failure", async () => {
  const lines: string[] = [];
  const onLine = (line: string) => {
    lines.push(line);
    throw new Error("no answer");
  };
  const running = runEngine(engine("echo one; echo two; exec sleep 600"), [], { signal, onLine });
  await expect(running).rejects.toThrow("no answer");
  expect(lines).toEqual(["one"]);
});

test("what it says last is why it failed", async () => {
  const running = runEngine(engine('echo "ziptie-engine: no memory" >&2; exit 1'), [], { signal });
  await expect(running).rejects.toThrow("no memory");
});
