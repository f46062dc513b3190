import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { diskFiles } from "../../../language-server/src/configs/config-files";
import type { TrainingPlan } from "../../../language-server/src/configs/training-plan";
import { runnableConfig } from "../../../language-server/src/rules/config-rules";
import { enginePlanSchema } from "../../../language-server/src/training/engine-plan";
import {
  type PreparationHooks,
  planTraining,
  prepareRun,
} from "../../../language-server/src/training/prepare";
import { RunningAlready } from "../../../language-server/src/training/refused";
import { openRun } from "../../../language-server/src/training/runs";
import { readShard } from "../../../language-server/src/training/shards";
import { temporaryDirectory } from "./fake-engine";

const example = resolve(__dirname, "../../../examples/traditional-chinese");

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  cpSync(join(example, "tokenizer"), join(directory, "tokenizer"), { recursive: true });
  return () => rmSync(directory, { recursive: true, force: true });
});

const hooks = (over: Partial<PreparationHooks> = {}): PreparationHooks => ({
  report: () => {},
  signal: new AbortController().signal,
  ...over,
});

const model = {
  model_type: "llama",
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
  seed: 1,
};

/** Writes a config and its rows, and reads it as `ziptie train` does. */
function config(
  name: string,
  keys: Record<string, unknown>,
  rows: readonly unknown[],
): { plan: TrainingPlan; text: string } {
  const data = rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join("");
  writeFileSync(join(directory, `${name}.jsonl`), data);
  const all = {
    tokenizer_name_or_path: "tokenizer",
    dataset: `${name}.jsonl`,
    max_length: 64,
    output_dir: "runs",
    ...keys,
  };
  const path = join(directory, `${name}.ziptie.yaml`);
  const text = JSON.stringify(all, null, 2);
  writeFileSync(path, text);
  const runnable = runnableConfig(text, path, diskFiles);
  if ("refused" in runnable) throw new Error(runnable.refused);
  return { plan: runnable.plan, text };
}

const pretrain = (rows: readonly unknown[], keys: Record<string, unknown> = {}) =>
  config("base", { stage: "pretrain", model, ...keys }, rows);
const texts = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ text: `第 ${i} 句話 and its English` }));
const readPlan = (run: string) =>
  enginePlanSchema.parse(JSON.parse(readFileSync(join(run, "plan.json"), "utf8")));

describe("preparing a run", () => {
  test("writes config, record, shards and a plan that the engine's schema takes", async () => {
    const { plan, text } = pretrain(texts(20), {
      eval_dataset: "base.jsonl",
      eval_on_start: true,
      eval_strategy: "steps",
      eval_steps: 0.5,
      num_train_epochs: 2,
      warmup_ratio: 0.1,
    });
    const { run, warnings } = await prepareRun(plan, text, hooks());
    expect(run).toBe(join(directory, "runs", "base-1"));
    expect(warnings).toEqual([]);
    expect(readFileSync(join(run, "config.ziptie.yaml"), "utf8")).toBe(text);
    const enginePlan = readPlan(run);
    // Twice 20 rows, 8 at a time.
    expect(enginePlan.batching.per_device_train_batch_size).toBe(8);
    expect(enginePlan.schedule).toMatchObject({ steps: 5, warmup_steps: 1 });
    expect(enginePlan.output).toBe(run);
    const dropped = { too_long: 0, unsupervised: 0, broken: 0, template: 0, tokenizer: 0 };
    expect(enginePlan.data).toEqual([
      { shards: [join(run, "data", "train-1-00001.safetensors")], weight: 1, dropped },
    ]);
    expect(enginePlan.evaluation).toEqual({
      shards: [join(run, "data", "evaluation-1-00001.safetensors")],
      on_start: true,
      every_steps: 3,
      batch_size: 8,
      dropped,
    });
    const inputs = Object.keys(enginePlan.inputs);
    expect(inputs).toContain(join(directory, "tokenizer", "tokenizer.json"));
    expect(inputs).toContain(join(run, "data", "train-1-00001.safetensors"));
    expect((await openRun(run)).summary).toMatchObject({
      state: "preparing",
      config: plan.config,
      name: "base-1",
    });
    expect(readdirSync(join(directory, "runs"))).toEqual(["base-1"]);
  });

  test("a shard has the rows in order: BOS, the text, EOS, with loss on all but the first", async () => {
    const { plan, text } = pretrain(texts(3));
    const { run } = await prepareRun(plan, text, hooks());
    const shard = await readShard(join(run, "data", "train-1-00001.safetensors"));
    expect(shard.rowOffsets).toHaveLength(4);
    const rows = [0, 1, 2].map((r) => ({
      ids: [...shard.inputIds.subarray(shard.rowOffsets[r], shard.rowOffsets[r + 1])],
      mask: [...shard.lossMask.subarray(shard.rowOffsets[r], shard.rowOffsets[r + 1])],
    }));
    const source = readPlan(run).model;
    if (!("architecture" in source)) throw new Error("the model is not from random weights");
    for (const { ids, mask } of rows) {
      expect(mask).toEqual(ids.map((_, t) => (t === 0 ? 0 : 1)));
      expect([ids[0], ids.at(-1)]).toEqual([
        source.architecture.bos_token_id,
        source.architecture.eos_token_id,
      ]);
    }
  });

  test("rows that cannot be used are counted by reason, with the first of each", async () => {
    const message = (role: string, content: string) => ({ role, content });
    const good = { messages: [message("user", "你好"), message("assistant", "你好！")] };
    const rows = [
      good,
      "{not json",
      { messages: [message("robot", "?"), message("assistant", "!")] },
      { messages: [message("user", "no answer")] },
      good,
      { messages: [message("user", "long ".repeat(100)), message("assistant", "answer")] },
    ];
    const { plan, text } = config("sft", { stage: "sft", model, chat_template_path: "bailong" }, rows);
    const { run, warnings } = await prepareRun(plan, text, hooks());
    const shard = await readShard(join(run, "data", "train-1-00001.safetensors"));
    expect(shard.rowOffsets).toHaveLength(3);
    const summary = await planTraining(plan, hooks());
    expect(summary).toMatchObject({ rows: 6, rows_dropped: 4, rows_cut: 0 });
    const reasons = summary.dropped.map(({ reason, rows, first }) => [reason, rows, first.row]);
    expect(reasons).toContainEqual(["broken", 2, 2]);
    expect(reasons).toContainEqual(["unsupervised-after-cut", 1, 6]);
    expect(summary.dropped.reduce((sum, { rows }) => sum + rows, 0)).toBe(4);
    expect(warnings.join("\n")).toMatch(/2 of 6 rows not used: they cannot be read\. The first is row 2/);
  });

  test("nothing to train on is refused with the reason, and leaves nothing behind", async () => {
    const { plan, text } = pretrain(["{", "["]);
    await expect(prepareRun(plan, text, hooks())).rejects.toThrow(
      /There is no row in .*base\.jsonl that can be read/,
    );
    expect(readdirSync(join(directory, "runs"))).toEqual([]);
  });

  test("cancelled in the middle, it leaves no half directory", async () => {
    const { plan, text } = pretrain(texts(2000));
    const controller = new AbortController();
    const report: PreparationHooks["report"] = ({ fraction }) => {
      if (fraction < 1) controller.abort();
    };
    await expect(prepareRun(plan, text, hooks({ report, signal: controller.signal }))).rejects.toThrow();
    expect(controller.signal.aborted).toBe(true);
    expect(readdirSync(join(directory, "runs"))).toEqual([]);
  });

  test("of two starts at the same moment one goes ahead and the other says which", async () => {
    const { plan, text } = pretrain(texts(5));
    const results = await Promise.allSettled([
      prepareRun(plan, text, hooks()),
      prepareRun(plan, text, hooks()),
    ]);
    const [done] = results.filter((result) => result.status === "fulfilled");
    const [refused] = results.filter((result) => result.status === "rejected");
    expect(refused?.reason).toBeInstanceOf(RunningAlready);
    expect(refused?.reason).toMatchObject({ run: done?.value.run });
    expect(readdirSync(join(directory, "runs"))).toHaveLength(1);
  });

  test("others get their turn while much is tokenised", async () => {
    const { plan, text } = pretrain(texts(5000));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await prepareRun(plan, text, hooks());
    clearInterval(timer);
    expect(turns).toBeGreaterThan(10);
  });
});

describe("where a model comes from", () => {
  test("a config whose model was never trained says what to train first", async () => {
    pretrain(texts(1));
    const rows = [
      {
        messages: [
          { role: "user", content: "a" },
          { role: "assistant", content: "b" },
        ],
      },
    ];
    const { plan, text } = config(
      "sft",
      { stage: "sft", model_name_or_path: "base.ziptie.yaml", chat_template_path: "bailong", use_peft: true },
      rows,
    );
    const base = join(directory, "base.ziptie.yaml");
    await expect(prepareRun(plan, text, hooks())).rejects.toThrow(`Train it first: ziptie train ${base}`);
    expect(existsSync(join(directory, "runs"))).toBe(false);
  });

  const stories = resolve(__dirname, "../../../../shared/data/models/stories260k");

  test.skipIf(!existsSync(stories))(
    "a truncated model file is refused by name before anything is made",
    async () => {
      const broken = join(directory, "broken");
      mkdirSync(broken);
      copyFileSync(join(stories, "config.json"), join(broken, "config.json"));
      const weights = readFileSync(join(stories, "model.safetensors"));
      writeFileSync(join(broken, "model.safetensors"), weights.subarray(0, weights.length - 100));
      const { plan, text } = pretrain(texts(2), {
        model: undefined,
        model_name_or_path: "broken",
        tokenizer_name_or_path: stories,
      });
      await expect(prepareRun(plan, text, hooks())).rejects.toThrow(
        /model\.safetensors is truncated: tensor .* ends at byte/,
      );
      expect(existsSync(join(directory, "runs"))).toBe(false);
    },
  );
});
