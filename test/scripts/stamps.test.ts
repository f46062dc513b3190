import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fingerprint, unlessDone } from "../../scripts/stamps.mjs";

describe("a step of the set-up", () => {
  let folder: string;
  let done: number;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ziptie-stamps-"));
    done = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const stamp = () => join(folder, "stamp");
  const result = () => join(folder, "result");
  const work = async () => {
    done += 1;
    writeFileSync(result(), "made");
  };

  it("is done once for what it depends on, and again when that changes", async () => {
    expect(await unlessDone(stamp(), "one", result(), work)).toBe(true);
    expect(await unlessDone(stamp(), "one", result(), work)).toBe(false);
    expect(await unlessDone(stamp(), "two", result(), work)).toBe(true);
    expect(done).toBe(2);
  });

  it("is done again when its result has gone", async () => {
    await unlessDone(stamp(), "one", result(), work);
    rmSync(result());
    await unlessDone(stamp(), "one", result(), work);
    expect(done).toBe(2);
  });

  it("is done again when it was interrupted, even after an earlier success", async () => {
    await unlessDone(stamp(), "one", result(), work);
    const interrupted = unlessDone(stamp(), "two", result(), () => Promise.reject(new Error("interrupted")));
    await expect(interrupted).rejects.toThrow("interrupted");
    await unlessDone(stamp(), "one", result(), work);
    expect(done).toBe(2);
  });

  it("depends on contents, names and plain values alike", () => {
    const file = join(folder, "file");
    writeFileSync(file, "a");
    const before = fingerprint([file], "x");
    expect(fingerprint([file], "x")).toBe(before);
    expect(fingerprint([file], "y")).not.toBe(before);
    writeFileSync(file, "b");
    expect(fingerprint([file], "x")).not.toBe(before);
    expect(fingerprint([join(folder, "absent")], "x")).not.toBe(before);
  });
});
