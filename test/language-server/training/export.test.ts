import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { EngineLocation } from "../../../language-server/src/training/engine";
import { exportModel, mergeSource } from "../../../language-server/src/training/export";
import { preparedRun, temporaryDirectory } from "./fake-engine";

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  return () => rmSync(directory, { recursive: true, force: true });
});

/** An adapter of a base; the base is there unless it is said to be elsewhere. */
function adapter(at: string, base = join(directory, "base")): string {
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, "adapter_config.json"), JSON.stringify({ base_model_name_or_path: base }));
  mkdirSync(join(directory, "base"), { recursive: true });
  writeFileSync(join(directory, "base", "config.json"), "{}");
  return at;
}

describe("what is merged", () => {
  test("a run's adapter, into the run", async () => {
    const run = preparedRun(directory, "sft-1");
    adapter(join(run, "adapter"));
    expect(await mergeSource(run)).toEqual({
      model: join(directory, "base"),
      adapter: join(run, "adapter"),
      output: join(run, "merged"),
    });
  });
  test("an adapter by itself, beside it; a relative base is relative to it", async () => {
    const path = adapter(join(directory, "zh"), "../base");
    expect(await mergeSource(path)).toEqual({
      model: join(directory, "base"),
      adapter: path,
      output: `${path}-merged`,
    });
  });
  test.each([
    ["a run that is going on", () => preparedRun(directory, "sft-1"), /sft-1 has no adapter yet/],
    [
      "a run that was stopped",
      () => {
        const run = preparedRun(directory, "sft-1");
        mkdirSync(join(run, "checkpoints/step-2"), { recursive: true });
        writeFileSync(join(run, "checkpoints/step-2/state.json"), "{}");
        return run;
      },
      /sft-1 has no adapter yet: .* Resume it, and export it when it has finished: ziptie resume .*sft-1$/,
    ],
    [
      "a run of every weight",
      () => {
        const run = preparedRun(directory, "base-1");
        mkdirSync(join(run, "model"));
        return run;
      },
      /trained every weight, so there is nothing to merge; its model is .*base-1\/model/,
    ],
    [
      "a run that extended a vocabulary",
      () => {
        const run = preparedRun(directory, "zh-1");
        writeFileSync(
          join(run, "config.ziptie.yaml"),
          "stage: vocabulary\ntokenizer_name_or_path: tokenizer\nscripts: [Han]\ndataset: rows.jsonl\nvocab_size: 400\n",
        );
        mkdirSync(join(run, "tokenizer"));
        return run;
      },
      /zh-1 extended a vocabulary, so there is nothing to merge; its tokenizer is .*zh-1\/tokenizer/,
    ],
    [
      "a run that extended a vocabulary by a config that an older version took",
      () => {
        const run = preparedRun(directory, "zh-1");
        writeFileSync(join(run, "config.ziptie.yaml"), "stage: vocabulary\nvocab_size: many\n");
        return run;
      },
      /zh-1 extends a vocabulary, so there is nothing to merge; it has not written its tokenizer/,
    ],
    ["any folder", () => directory, /neither a run nor a PEFT adapter directory/],
    [
      "a base that is gone",
      () => adapter(join(directory, "zh"), "/gone/base"),
      /trained on \/gone\/base, which is not a model directory here/,
    ],
  ])("%s is refused", async (_, make, message) => {
    await expect(mergeSource(make())).rejects.toThrow(message);
  });
});

/** A program that does in the engine's stead what a shell script says; `$7` is the output. */
function engine(script: string): EngineLocation {
  const path = join(directory, "engine");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { path, origin: "the setting ziptie.engine.path" };
}

describe("exporting", () => {
  const source = () => ({ model: "/m", adapter: "/a", output: join(directory, "merged") });
  const hooks = (report: (fraction: number) => void = () => {}, signal = new AbortController().signal) => ({
    report: ({ fraction }: { fraction: number }) => report(fraction),
    signal,
  });
  const options = () => ({ output: join(directory, "merged"), dtype: null });

  test("the engine is told what to merge and in which type, and reports how far it is", async () => {
    const fractions: number[] = [];
    const told = engine('echo "$@" > "$(dirname "$0")/told"; echo "3 of 4 tensors merged" >&2; mkdir "$7"');
    await exportModel(
      source(),
      { ...options(), dtype: "bfloat16" },
      told,
      hooks((f) => fractions.push(f)),
    );
    expect(fractions).toEqual([0.75]);
    expect(readFileSync(join(directory, "told"), "utf8")).toBe(
      `export --model /m --adapter /a --output ${join(directory, "merged")} --dtype bfloat16\n`,
    );
  });
  test("what the engine refuses is said in its words", async () => {
    const refusing = engine(
      'echo "1 of 4 tensors merged" >&2; echo "ziptie-engine: /a: no such rank" >&2; exit 1',
    );
    await expect(exportModel(source(), options(), refusing, hooks())).rejects.toThrow(/^\/a: no such rank$/);
  });
  test("nothing is overwritten", async () => {
    mkdirSync(join(directory, "merged"));
    await expect(exportModel(source(), options(), engine("exit 0"), hooks())).rejects.toThrow(
      /exists already/,
    );
  });
  test("an engine that cannot be started is a refusal", async () => {
    const absent: EngineLocation = { ...engine("exit 0"), path: join(directory, "absent") };
    await expect(exportModel(source(), options(), absent, hooks())).rejects.toThrow(
      /The engine .*absent cannot be started: .*ENOENT/,
    );
  });
  test("cancelling ends the engine", async () => {
    const controller = new AbortController();
    const waiting = engine('echo "1 of 4 tensors merged" >&2; exec sleep 60');
    const exporting = exportModel(
      source(),
      options(),
      waiting,
      hooks(() => controller.abort(), controller.signal),
    );
    await expect(exporting).rejects.toThrow(/abort/i);
    expect(existsSync(join(directory, "merged"))).toBe(false);
  });
});
