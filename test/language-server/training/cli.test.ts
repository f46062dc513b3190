import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { PlanSummary, RunSummary } from "../../../language-server/src/protocol";
import { parseEvent } from "../../../language-server/src/training/event-reader";
import { openRun, stopRun, waitForEnd } from "../../../language-server/src/training/runs";
import { readSafetensorsHeader } from "../../../language-server/src/training/safetensors-header";
import { EmbeddingRows } from "../../../language-server/src/training/vocabulary/embedding-rows";
import { type Behaviour, fakeEngine, temporaryDirectory, until } from "./fake-engine";
import { bundleProgram, TerminalCommand } from "./terminal";

const example = resolve(__dirname, "../../../examples/traditional-chinese");
const realEngine = resolve(__dirname, "../../../dist/engine/ziptie-engine");

let program: string;
beforeAll(async () => {
  program = await bundleProgram("training-cli");
}, 60_000);
afterAll(() => rmSync(join(program, ".."), { recursive: true, force: true }));

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  cpSync(join(example, "tokenizer"), join(directory, "tokenizer"), { recursive: true });
  writeFileSync(join(directory, "rows.jsonl"), '{"text": "一"}\n{"text": "two"}\n{"text": }\n');
  writeFileSync(join(directory, "base.ziptie.yaml"), config());
  return async () => {
    for (const { run } of await runs()) {
      const engine = await (await openRun(run)).run.engine();
      if (engine !== undefined) await waitForEnd(await stopRun(run));
    }
    rmSync(directory, { recursive: true, force: true });
  };
});

const config = (more = "max_steps: 5") =>
  `stage: pretrain
model: { model_type: llama, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 64 }
tokenizer_name_or_path: tokenizer
dataset: rows.jsonl
max_length: 64
${more}
`;

const command = (args: string[], behaviour: Behaviour = "trains") =>
  new TerminalCommand(program, args, directory, fakeEngine(directory, behaviour).path);
const run = (args: string[], behaviour?: Behaviour) => command(args, behaviour).finished;
const json = async (args: string[], behaviour?: Behaviour) => {
  const { status, stdout } = await run([...args, "--format", "json"], behaviour);
  return { status, document: JSON.parse(stdout) };
};
const runs = async (): Promise<RunSummary[]> => (await json(["runs"])).document.runs;
/** The command has started its run and follows it, and the run is at its third step. */
const threeSteps = async (training: TerminalCommand) => {
  await training.says(/base-1, engine /);
  await until(async () => (await openRun(firstRun())).summary.step === 3);
};
const firstRun = () => join(directory, "runs", "base-1");

describe("ziptie plan", () => {
  test("prints the resolved plan and nothing else on stdout", async () => {
    const { status, document } = await json(["plan", "base.ziptie.yaml"]);
    expect(status).toBe(0);
    expect(document).toMatchObject({
      steps: 5,
      rows: 3,
      rows_dropped: 1,
      plan: { version: 1, stage: "pretrain" },
    });
    expect(document.memory_bytes).toBeGreaterThan(0);
    expect(document.trainable.length).toBeGreaterThan(0);
    expect(existsSync(join(directory, "runs"))).toBe(false);
  });

  test("in text it names where the memory goes, the packs, and what is computed again", async () => {
    writeFileSync(join(directory, "base.ziptie.yaml"), config("max_steps: 5\npacking: true"));
    const { stdout } = await run(["plan", "base.ziptie.yaml"]);
    expect(stdout).toMatch(/rows +3, 1 not used, 0 cut, in 1 pack$/m);
    expect(stdout).toMatch(
      /memory +about .* \(weights .*, gradients .*, optimizer .*, activations .*, logits .*, engine .*\)/,
    );
    expect(stdout).toMatch(/gradient checkpointing +none/);
  });

  test("in text it names what is not used", async () => {
    const { stdout } = await run(["plan", "base.ziptie.yaml"]);
    expect(stdout).toMatch(/optimizer steps +5/);
    expect(stdout).toMatch(
      /warning: .*rows\.jsonl: 1 of 3 rows not used: they cannot be read\. The first is row 3/,
    );
  });

  test("a config with an error is the command's negative answer, with the place", async () => {
    writeFileSync(join(directory, "base.ziptie.yaml"), config("max_stepz: 5"));
    const { status, stderr, stdout } = await run(["plan", "base.ziptie.yaml"]);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^base\.ziptie\.yaml:6:1: .*max_steps/);
  });

  test("a config that is not there is wrong usage", async () => {
    const { status, stderr } = await run(["plan", "none.ziptie.yaml"]);
    expect([status, stderr]).toEqual([2, "none.ziptie.yaml is not there.\n"]);
  });

  test("data in UTF-16, or without a row, is refused with what is wrong with it", async () => {
    const rows = join(directory, "rows.jsonl");
    writeFileSync(rows, "\ufeff{}\n", "utf16le");
    expect((await run(["plan", "base.ziptie.yaml"])).stderr).toContain("This file is UTF-16 (little endian)");
    writeFileSync(rows, "");
    const { status, stderr } = await run(["plan", "base.ziptie.yaml"]);
    expect(status).toBe(1);
    expect(stderr).toContain(`There is no row in ${rows} that can be read.`);
  });
});

describe("ziptie train", () => {
  test("an output_dir that is a file is refused", async () => {
    writeFileSync(join(directory, "runs"), "");
    const { status, stderr } = await run(["train", "base.ziptie.yaml"]);
    expect([status, stderr]).toEqual([1, expect.stringContaining("is a file. Name a folder.")]);
  });

  test("follows the run to its end", async () => {
    const { status, document } = await json(["train", "base.ziptie.yaml"]);
    expect(status).toBe(0);
    expect(document).toMatchObject({
      run: firstRun(),
      state: "finished",
      steps: 5,
      loss: 0.8,
      evaluation_loss: 1.5,
    });
  });

  test("--detach returns while the run goes on, and the run is listed", async () => {
    const { status, document } = await json(["train", "base.ziptie.yaml", "--detach"], "waits");
    expect([status, document.state, document.steps, document.run]).toEqual([0, "running", 5, firstRun()]);
    const [listed] = await runs();
    expect(listed).toMatchObject({
      run: firstRun(),
      state: "running",
      config: join(directory, "base.ziptie.yaml"),
    });
    const again = await json(["train", "base.ziptie.yaml"]);
    expect(again).toMatchObject({ status: 1, document: { run: firstRun() } });
  });

  test("--detach of a run that extends a vocabulary is wrong usage", async () => {
    writeFileSync(
      join(directory, "zh.ziptie.yaml"),
      "stage: vocabulary\ntokenizer_name_or_path: tokenizer\nscripts: [Han]\ndataset: rows.jsonl\nvocab_size: 400\n",
    );
    const { status, stderr } = await run(["train", "zh.ziptie.yaml", "--detach"]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^--detach is for training: /)]);
  });

  test.each([
    ["", /^zh\.ziptie\.yaml:5:13: .*vocab_size.*many/],
    ["--detach", /^--detach is for training: /],
  ])("a vocabulary's config with a mistake is told what is wrong and where %s", async (option, message) => {
    writeFileSync(
      join(directory, "zh.ziptie.yaml"),
      "stage: vocabulary\ntokenizer_name_or_path: tokenizer\nscripts: [Han]\ndataset: rows.jsonl\nvocab_size: many\n",
    );
    const { status, stderr } = await run(["train", "zh.ziptie.yaml", ...(option === "" ? [] : [option])]);
    expect(stderr).toMatch(message);
    expect(status).toBe(option === "" ? 1 : 2);
  });

  test("a config whose stage is misspelt is told so, with the place", async () => {
    writeFileSync(
      join(directory, "zh.ziptie.yaml"),
      "stage: vocabluary\nscripts: [Han]\ndataset: rows.jsonl\n",
    );
    for (const command of [["train", "--detach"], ["extend-vocabulary"]]) {
      const { status, stderr } = await run([...command, "zh.ziptie.yaml"]);
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(/^zh\.ziptie\.yaml:1:8: .*vocabluary.*Did you mean `vocabulary`/),
      ]);
    }
  });

  test("extend-vocabulary leads a config of another stage to train, whatever else is wrong with it", async () => {
    writeFileSync(join(directory, "base.ziptie.yaml"), config("max_steps: many"));
    const { status, stderr } = await run(["extend-vocabulary", "base.ziptie.yaml"]);
    expect([status, stderr]).toEqual([
      1,
      "base.ziptie.yaml is of stage pretrain: start it with ziptie train base.ziptie.yaml\n",
    ]);
  });

  test("plan says of a vocabulary's config where it is one", async () => {
    writeFileSync(
      join(directory, "zh.ziptie.yaml"),
      "# Han\nstage: vocabulary\ntokenizer_name_or_path: tokenizer\nscripts: [Han]\ndataset: rows.jsonl\n",
    );
    const { status, stderr } = await run(["plan", "zh.ziptie.yaml"]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^zh\.ziptie\.yaml:2:8: .*trains no model/)]);
    expect(existsSync(join(directory, "runs"))).toBe(false);
  });

  test("a failed run is the command's negative answer, with the reason and the log", async () => {
    const { status, stderr, stdout } = await run(["train", "base.ziptie.yaml", "--format", "json"], "fails");
    expect([status, JSON.parse(stdout).state]).toEqual([1, "failed"]);
    expect(stderr).toContain("base-1/engine.log");
  });

  test("Ctrl-C asks for a checkpoint and an end", async () => {
    const training = command(["train", "base.ziptie.yaml", "--format", "json"], "waits");
    await threeSteps(training);
    training.process.kill("SIGINT");
    const { status, stdout } = await training.finished;
    expect([status, JSON.parse(stdout).state]).toEqual([0, "stopped"]);
  });

  test("a killed engine is noticed", async () => {
    const training = command(["train", "base.ziptie.yaml"], "waits");
    await threeSteps(training);
    const engine = await (await openRun(firstRun())).run.engine();
    process.kill(engine?.pid ?? 0, "SIGKILL");
    const { status, stderr } = await training.finished;
    expect(status).toBe(1);
    expect(stderr).toContain("It can be resumed from step 2.");
  });

  test("an engine that is not there is named", async () => {
    const { status, stderr } = await new TerminalCommand(
      program,
      ["train", "base.ziptie.yaml"],
      directory,
      join(directory, "none"),
    ).finished;
    expect(status).toBe(1);
    expect(stderr).toMatch(/There is no engine at .*none.*ZIPTIE_ENGINE/);
  });
});

describe("ziptie stop and resume", () => {
  test("a run is found by its name, stopped with a checkpoint and resumed to its end", async () => {
    await run(["train", "base.ziptie.yaml", "--detach"], "waits");
    await until(async () => (await openRun(firstRun())).summary.step === 3);
    expect(await json(["stop", "base-1"])).toMatchObject({
      status: 0,
      document: { state: "stopped", step: 3 },
    });
    expect(await json(["resume", "base-1"])).toMatchObject({
      status: 0,
      document: { state: "finished", step: 5 },
    });
    expect((await run(["stop", "base-1"])).status).toBe(1);
    expect((await run(["stop", "other-1"])).status).toBe(2);
  });
});

describe("ziptie resume refuses a run whose sources have changed", () => {
  const stopped = async () => {
    await run(["train", "base.ziptie.yaml", "--detach"], "waits");
    await until(async () => (await openRun(firstRun())).summary.step === 3);
    await run(["stop", "base-1"]);
  };
  const edit = (name: string, change: (text: string) => string) => {
    const path = join(directory, name);
    writeFileSync(path, change(readFileSync(path, "utf8")));
  };

  test("the config asks for another training", async () => {
    await stopped();
    edit("base.ziptie.yaml", (text) => `${text}learning_rate: 0.5\nlogging_steps: 2\n`);
    const { status, stderr } = await run(["resume", "base-1"]);
    expect(status).toBe(1);
    expect(stderr).toContain("learning_rate was 0.00002, now 0.5. Undo that");
    expect(stderr).not.toContain("logging_steps");
  });
  test("a dataset", async () => {
    await stopped();
    edit("rows.jsonl", (text) => text.replace("two", "three"));
    const { status, stderr } = await run(["resume", "base-1"]);
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining(`dataset: ${join(directory, "rows.jsonl")} has changed`),
    ]);
  });
  test("the tokenizer", async () => {
    await stopped();
    edit("tokenizer/tokenizer.json", (text) => `${text}\n`);
    const { status, stderr } = await run(["resume", "base-1"]);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/tokenizer_name_or_path: .*tokenizer\.json has changed/),
    ]);
  });
  test("not a file that was only written anew, nor a comment", async () => {
    await stopped();
    edit("rows.jsonl", (text) => text);
    edit("base.ziptie.yaml", (text) => `# the same\n${text}logging_steps: 2\n`);
    expect((await run(["resume", "base-1"])).status).toBe(0);
  });
});

test("ziptie runs says where there are none", async () => {
  expect(await json(["runs"])).toEqual({ status: 0, document: { runs: [] } });
});

describe("a job in a process of its own", () => {
  const job = (task: "plan" | "start") => {
    const path = join(directory, "base.ziptie.yaml");
    const config = { path, text: readFileSync(path, "utf8"), severities: {} };
    return task === "plan"
      ? ({ task, config } as const)
      : ({ task, config, engine: fakeEngine(directory, "trains") } as const);
  };
  const runJob: typeof import("../../../language-server/src/training/job-process").runJob = (...args) =>
    createRequire(program)("./job-process.js").runJob(...args);
  const manyRows = () =>
    writeFileSync(join(directory, "rows.jsonl"), '{"text": "rows and rows"}\n'.repeat(50_000));

  test("answers, and reports how far it is", async () => {
    const messages: string[] = [];
    const signal = new AbortController().signal;
    const report = ({ message }: { message: string }) => messages.push(message);
    expect(await runJob(job("plan"), { report, signal })).toMatchObject({ steps: 5 });
    expect(messages).toContain("Tokenizing rows.jsonl");
    expect(await runJob(job("start"), { report, signal })).toMatchObject({ run: firstRun() });
  });

  test("what it is refused arrives with its place", async () => {
    writeFileSync(join(directory, "base.ziptie.yaml"), config("max_stepz: 5"));
    const refused = runJob(job("plan"), { report: () => {}, signal: new AbortController().signal });
    await expect(refused).rejects.toMatchObject({
      name: "Refused",
      location: { range: { start: { line: 5, character: 0 } } },
    });
  });

  test("cancelled, it cleans up behind itself", async () => {
    manyRows();
    const controller = new AbortController();
    let made: string | null = null;
    const onDirectory = (run: string | null) => {
      made ??= run;
      controller.abort();
    };
    const answer = runJob(job("start"), { report: () => {}, onDirectory, signal: controller.signal });
    await expect(answer).rejects.toThrow(/aborted/);
    expect(made).toBe(firstRun());
    expect(readdirSync(join(directory, "runs"))).toEqual([]);
  });

  test("killed in the middle, its half directory is removed and the failure is told", async () => {
    manyRows();
    const onDirectory = (run: string | null) => {
      if (run === null) return;
      const { pid } = JSON.parse(readFileSync(join(run, "start.lock"), "utf8"));
      expect(pid).not.toBe(process.pid);
      process.kill(pid, "SIGKILL");
    };
    const answer = runJob(job("start"), {
      report: () => {},
      onDirectory,
      signal: new AbortController().signal,
    });
    await expect(answer).rejects.toThrow(/ended by SIGKILL/);
    expect(readdirSync(join(directory, "runs"))).toEqual([]);
  });
});

describe.skipIf(!existsSync(realEngine))("with the real engine", () => {
  test("a tiny model is trained, listed, and its model goes on in an SFT run", async () => {
    writeFileSync(
      join(directory, "base.ziptie.yaml"),
      config("max_steps: 4\neval_dataset: rows.jsonl\neval_on_start: true"),
    );
    const train = (name: string) =>
      new TerminalCommand(program, ["train", name, "--format", "json"], directory, realEngine).finished;
    const base = await train("base.ziptie.yaml");
    expect([base.status, base.stderr]).toEqual([0, expect.any(String)]);
    const document = JSON.parse(base.stdout);
    expect(document).toMatchObject({ run: firstRun(), state: "finished", step: 4, steps: 4 });
    expect(document.loss).toBeGreaterThan(0);
    expect(document.evaluation_loss).toBeGreaterThan(0);
    const events = readFileSync(join(firstRun(), "events.jsonl"), "utf8").trimEnd().split("\n");
    const evaluations = events.map((line) => JSON.parse(line)).filter(({ event }) => event === "evaluation");
    expect(evaluations.map(({ step }) => step)).toEqual([0, 4]);
    expect(existsSync(join(firstRun(), "model", "tokenizer.json"))).toBe(true);
    const trained = async (name: string) => {
      const { trainable } = (await json(["plan", name])).document as PlanSummary;
      return Object.fromEntries(trainable.map((each) => [each.name, each.shape]));
    };
    const written = async (file: string) => {
      const tensors = await readSafetensorsHeader(file);
      return Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
    };
    expect(await trained("base.ziptie.yaml")).toEqual(
      await written(join(firstRun(), "model", "model.safetensors")),
    );

    const rows = {
      messages: [
        { role: "user", content: "一" },
        { role: "assistant", content: "two" },
      ],
    };
    writeFileSync(join(directory, "chat.jsonl"), `${JSON.stringify(rows)}\n`);
    writeFileSync(
      join(directory, "sft.ziptie.yaml"),
      "stage: sft\nmodel_name_or_path: base.ziptie.yaml\nchat_template_path: bailong\ndataset: chat.jsonl\nmax_length: 64\nuse_peft: true\nmax_steps: 2\n",
    );
    const sft = await train("sft.ziptie.yaml");
    expect(JSON.parse(sft.stdout)).toMatchObject({ state: "finished", steps: 2 });
    const adapter = join(directory, "runs", "sft-1", "adapter", "adapter_model.safetensors");
    expect(await trained("sft.ziptie.yaml")).toEqual(await written(adapter));
  }, 60_000);

  test("every row that is dropped or cut is counted by reason in the run's events", async () => {
    // Without bytes to fall back on there are characters that the tokenizer cannot encode.
    const file = join(directory, "tokenizer", "tokenizer.json");
    const tokenizer = JSON.parse(readFileSync(file, "utf8"));
    Object.assign(tokenizer.model, { byte_fallback: false, unk_token: "<none>" });
    writeFileSync(file, JSON.stringify(tokenizer));
    const chat = (...turns: [role: string, content: string][]) =>
      JSON.stringify({ messages: turns.map(([role, content]) => ({ role, content })) });
    const good = chat(["user", "一"], ["assistant", "two"]);
    const long = chat(["user", "一"], ["assistant", "two ".repeat(100)]);
    const rows = {
      good,
      long,
      unsupervised: chat(["user", "一"]),
      beyondTheCut: chat(["user", "one ".repeat(100)], ["assistant", "two"]),
      broken: '{"messages": ',
      template: chat(["system", "一"], ["user", "一"], ["assistant", "two"]),
      tokenizer: chat(["user", "\u{1f600}"], ["assistant", "two"]),
    };
    const dataset = (name: string, ...lines: string[]) =>
      writeFileSync(join(directory, name), `${lines.join("\n")}\n`);
    dataset("all.jsonl", ...Object.values(rows));
    dataset("none.jsonl", rows.template, rows.unsupervised);
    dataset("evaluation.jsonl", good, good, rows.broken, rows.tokenizer);
    const sft = (truncation: string) => `stage: sft
model: { model_type: llama, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 64 }
tokenizer_name_or_path: tokenizer
chat_template_path: bailong
dataset: [all.jsonl, none.jsonl]
eval_dataset: evaluation.jsonl
max_length: 64
truncation: ${truncation}
max_steps: 1
`;
    for (const [truncation, expected] of [
      ["cut", { used: 2, cut: 1, too_long: 0, unsupervised: 3 }],
      ["drop", { used: 1, cut: 0, too_long: 2, unsupervised: 2 }],
    ] as const) {
      writeFileSync(join(directory, `${truncation}.ziptie.yaml`), sft(truncation));
      const { status, stderr } = await new TerminalCommand(
        program,
        ["train", `${truncation}.ziptie.yaml`],
        directory,
        realEngine,
      ).finished;
      expect(status, stderr).toBe(0);
      const run = join(directory, "runs", `${truncation}-1`);
      const [first] = readFileSync(join(run, "events.jsonl"), "utf8").split("\n");
      const started = parseEvent(first ?? "");
      const refused = { broken: 1, template: 2, tokenizer: 1, packs: 0 };
      expect(started).toMatchObject({
        rows: { ...expected, ...refused },
        evaluation_rows: { used: 2, cut: 0, too_long: 0, unsupervised: 0, ...refused, template: 0 },
      });
      const { document } = await json(["plan", `${truncation}.ziptie.yaml`]);
      const dropped = 9 - expected.used;
      expect(document).toMatchObject({ rows: 9, rows_dropped: dropped, rows_cut: expected.cut });
    }
  }, 60_000);

  test("a vocabulary is extended, and a model of the base goes on with it by zip-tie", async () => {
    const train = async (name: string) => {
      const { status, stdout, stderr } = await new TerminalCommand(
        program,
        ["train", name, "--format", "json"],
        directory,
        realEngine,
      ).finished;
      expect(status, stderr).toBe(0);
      return JSON.parse(stdout);
    };
    writeFileSync(
      join(directory, "rows.jsonl"),
      '{"text": "月亮繞著地球轉，地球繞著太陽轉"}\n{"text": "the moon"}\n'.repeat(4),
    );
    writeFileSync(join(directory, "base.ziptie.yaml"), config("max_steps: 2"));
    writeFileSync(
      join(directory, "zh.ziptie.yaml"),
      "stage: vocabulary\ntokenizer_name_or_path: tokenizer\nscripts: [Han]\ndataset: rows.jsonl\nvocab_size: 400\n",
    );
    await train("base.ziptie.yaml");
    const { tokenizer } = await train("zh.ziptie.yaml");
    writeFileSync(
      join(directory, "grown.ziptie.yaml"),
      `stage: pretrain
model_name_or_path: base.ziptie.yaml
tokenizer_name_or_path: runs/zh-1/tokenizer
embedding_init: zip-tie
dataset: rows.jsonl
max_length: 64
packing: true
use_peft: true
lora_r: 4
lora_target_modules: [q_proj, v_proj, embed_tokens, lm_head]
load_in_4bit: true
optim: paged_adamw_8bit
embedding_learning_rate: 1e-4
max_steps: 2
`,
    );
    expect(await run(["check", "grown.ziptie.yaml"])).toMatchObject({ status: 0 });
    const grown = await train("grown.ziptie.yaml");
    expect(grown).toMatchObject({ state: "finished", steps: 2 });

    const map: Record<string, [number, number][]> = JSON.parse(
      readFileSync(join(tokenizer, "zip-tie.json"), "utf8"),
    );
    expect(Object.keys(map).length).toBeGreaterThan(5);
    const [before, after] = await Promise.all(
      [join(firstRun(), "model"), join(grown.run, "base")].map((model) =>
        EmbeddingRows.open([join(model, "model.safetensors")]),
      ),
    );
    if (!before || !after) throw new Error("no embeddings");
    try {
      expect(after.rows).toBe(before.rows + Object.keys(map).length);
      expect(await after.read(0, before.rows)).toEqual(await before.read(0, before.rows));
      for (const [id, parts] of Object.entries(map)) {
        const sum = new Float64Array(before.width);
        for (const [part, weight] of parts) {
          const row = await before.read(part, 1);
          for (const [at, value] of row.entries()) (sum[at] as number) += weight * value;
        }
        const begun = await after.read(Number(id), 1);
        for (const [at, value] of begun.entries()) expect(value).toBeCloseTo(sum[at] as number, 6);
      }
    } finally {
      await Promise.all([before.close(), after.close()]);
    }
    // The adapter goes with the grown base and its tokenizer, and all of it into a model.
    expect(existsSync(join(grown.run, "adapter", "tokenizer.json"))).toBe(true);
    const exported = await new TerminalCommand(program, ["export", "grown-1"], directory, realEngine)
      .finished;
    expect(exported.status, exported.stderr).toBe(0);
    const merged = await readSafetensorsHeader(join(grown.run, "merged", "model.safetensors"));
    expect(merged.get("model.embed_tokens.weight")?.shape).toEqual([after.rows, after.width]);
  }, 60_000);
});
