/** `ziptie generate` as it is used in a terminal, with the engine that answers. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { GeneratedAnswer, GenerationEvent } from "../../../../language-server/src/protocol";
import { defaultSettings } from "../../../../language-server/src/training/generation/generate";
import { sharedData } from "../../shared-data";
import { temporaryDirectory, until } from "../fake-engine";
import { bundleProgram, TerminalCommand } from "../terminal";

const root = resolve(__dirname, "../../../..");
const example = join(root, "examples/traditional-chinese");
const engine = join(root, "dist/engine/ziptie-engine");
const python = join(root, "dist/oracle-venv/bin/python");
const stories = sharedData && join(sharedData, "models/stories260k");

let program: string;
/** Trained once: a base, and an adapter on it that has overfitted to two dialogues. */
let trained: string;
let directory: string;

const architecture =
  "{ model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 96 }";
const common =
  "tokenizer_name_or_path: tokenizer\nmax_length: 64\nlr_scheduler_type: constant\nwarmup_steps: 0\n";
const configs = {
  base: `stage: pretrain\nmodel: ${architecture}\n${common}dataset: texts.jsonl\nlearning_rate: 1e-2\nmax_steps: 4\n`,
  sft:
    `stage: sft\nmodel_name_or_path: base.ziptie.yaml\nchat_template_path: turns.jinja\n${common}` +
    "dataset: dialogues.jsonl\nuse_peft: true\nlora_r: 16\nlora_target_modules: [q_proj, v_proj, down_proj, embed_tokens, lm_head]\n" +
    "learning_rate: 2e-2\nmax_steps: 60\nsave_steps: 20\n",
};
const template =
  "{% for m in messages %}{{ bos_token if loop.first else '' }}{% if m.role == 'user' %}問：{{ m.content }}答：" +
  "{% else %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% endif %}{% endfor %}";
const dialogue = (question: string, answer: string) => ({
  messages: [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ],
});
const dialogues = [dialogue("天氣？", "晴天。"), dialogue("貓？", "很可愛😀！")];
const rows = (lines: readonly unknown[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

beforeAll(async () => {
  program = await bundleProgram("generate");
  if (!existsSync(engine)) return;
  trained = temporaryDirectory();
  cpSync(join(example, "tokenizer"), join(trained, "tokenizer"), { recursive: true });
  writeFileSync(join(trained, "texts.jsonl"), rows([{ text: "一" }, { text: "two" }]));
  writeFileSync(join(trained, "dialogues.jsonl"), rows(dialogues));
  writeFileSync(join(trained, "turns.jinja"), template);
  for (const [name, text] of Object.entries(configs)) {
    writeFileSync(join(trained, `${name}.ziptie.yaml`), text);
    const { status, stderr } = await new TerminalCommand(
      program,
      ["train", `${name}.ziptie.yaml`],
      trained,
      engine,
    ).finished;
    if (status !== 0) throw new Error(stderr);
  }
}, 120_000);
afterAll(() => {
  rmSync(join(program, ".."), { recursive: true, force: true });
  if (trained) rmSync(trained, { recursive: true, force: true });
});

beforeEach(() => {
  directory = temporaryDirectory();
  return () => rmSync(directory, { recursive: true, force: true });
});

const command = (args: string[], cwd = trained) =>
  new TerminalCommand(program, ["generate", ...args], cwd, engine);
const run = (args: string[], cwd?: string) => command(args, cwd).finished;
function prompts(...lines: unknown[]): string {
  const path = join(directory, "prompts.jsonl");
  writeFileSync(path, rows(lines));
  return path;
}
const lines = (stdout: string): GeneratedAnswer[] =>
  stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
async function answers(model: string, file: string, ...options: string[]): Promise<GeneratedAnswer[]> {
  const { status, stdout, stderr } = await run([
    ...[model, "--prompts", file, "--format", "json", "--threads", "1"],
    ...options,
  ]);
  if (status !== 0) throw new Error(stderr);
  return lines(stdout);
}

describe.skipIf(!existsSync(engine))("a run", () => {
  test("answers a text as a turn of its template, and ends as it has learned", async () => {
    const [weather, cat] = await answers("sft-1", prompts({ prompt: "天氣？" }, { id: "c", prompt: "貓？" }));
    expect(weather).toEqual({ id: 1, prompt: "天氣？", answer: "晴天。", tokens: 5, finish: "stop" });
    expect(cat).toMatchObject({ id: "c", answer: "很可愛😀！", finish: "stop" });
  });

  test("answers what its own data asks, in text for people", async () => {
    const { status, stdout, stderr } = await run(["sft-1", "--prompts", "dialogues.jsonl"]);
    expect([status, stdout]).toEqual([0, "> 天氣？\n晴天。\n\n> 貓？\n很可愛😀！\n\n"]);
    expect(stderr).toContain("sft-1, step 60: prompts are put by its chat template.");
  });

  test("gives conversations back as they were, with the calls in them", async () => {
    const prompt = [
      { role: "user", content: "天氣？" },
      { role: "assistant", content: "", tool_calls: [{ type: "function", function: { name: "look" } }] },
      { role: "tool", content: "晴" },
    ];
    const [answer] = await answers("sft-1", prompts({ prompt }), "--max-new-tokens", "1");
    expect(answer?.prompt).toEqual(prompt);
  });

  test("cuts an answer where it is told to, and says so", async () => {
    const file = prompts({ prompt: "貓？" });
    const [cut] = await answers("sft-1", file, "--max-new-tokens", "5");
    // The next tokens are bytes of 😀, of which half is nothing to show.
    expect(cut).toMatchObject({ answer: "很可愛", finish: "length" });
    const { stdout } = await run(["sft-1", "--prompts", file, "--max-new-tokens", "2"]);
    expect(stdout).toMatch(/^> 貓？\n.* … \(cut after 2 tokens\)\n\n$/);
  });

  test("reads prompts from standard input", async () => {
    const asking = command(["sft-1", "--prompts", "-"]);
    asking.process.stdin?.end("天氣？\n貓？\n");
    expect((await asking.finished).stdout).toBe("> 天氣？\n晴天。\n\n> 貓？\n很可愛😀！\n\n");
  });

  test("keeps its template, and has it go with what it writes", async () => {
    const kept = join(trained, "runs/sft-1/chat_template.jinja");
    expect(readFileSync(kept, "utf8")).toBe(template);
    expect(readFileSync(join(trained, "runs/sft-1/adapter/chat_template.jinja"), "utf8")).toBe(template);
    writeFileSync(join(trained, "turns.jinja"), "{{ raise_exception('another one by now') }}");
    try {
      const [again] = await answers("sft-1", prompts({ prompt: "天氣？" }));
      expect(again?.answer).toBe("晴天。");
    } finally {
      writeFileSync(join(trained, "turns.jinja"), template);
    }
  });

  test("without its checkpoints answers with what it has written", async () => {
    const [checkpoints, away] = [join(trained, "runs/sft-1/checkpoints"), join(directory, "checkpoints")];
    renameSync(checkpoints, away);
    try {
      const { stdout, stderr } = await run(["sft-1", "--prompts", "dialogues.jsonl"]);
      expect(stderr).toMatch(/^.*sft-1: prompts are put by/m);
      expect(stdout).toContain("> 天氣？\n晴天。\n");
    } finally {
      renameSync(away, checkpoints);
    }
  });

  test("answers at any of its checkpoints, by their directory, as it was trained", async () => {
    const checkpoint = join(trained, "runs/sft-1/checkpoints/step-40");
    const { stdout, stderr } = await run([checkpoint, "--prompts", "dialogues.jsonl"]);
    expect(stderr).toContain("sft-1, step 40: prompts are put by its chat template.");
    expect(stdout).toContain("> 天氣？\n晴天。\n");
  });

  test("needs nothing of what it was made from but its base", async () => {
    const gone = ["base.ziptie.yaml", "turns.jinja", "tokenizer", "runs/base-1/config.ziptie.yaml"];
    const away = (name: string) => join(directory, name.replaceAll("/", "-"));
    for (const name of gone) renameSync(join(trained, name), away(name));
    try {
      const [weather] = await answers("sft-1", prompts({ prompt: "天氣？" }));
      expect(weather?.answer).toBe("晴天。");
      await answers("base-1", prompts({ prompt: "一" }), "--max-new-tokens", "1");
    } finally {
      for (const name of gone) renameSync(away(name), join(trained, name));
    }
  });

  test("is not asked when its base is another by now", async () => {
    const base = join(trained, "runs/base-1/model/model.safetensors");
    const weights = readFileSync(base);
    writeFileSync(base, Buffer.concat([weights.subarray(0, -1), Buffer.from([0x11])]));
    try {
      const { status, stderr } = await run(["sft-1", "--prompts", "dialogues.jsonl"]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/sft-1 was trained with other files .*model_name_or_path: .* has changed/);
    } finally {
      writeFileSync(base, weights);
    }
  });

  test("of texts continues a text, and refuses a conversation by its line", async () => {
    const [text] = await answers("base-1", prompts({ prompt: "一" }), "--max-new-tokens", "3");
    expect(text?.tokens).toBeLessThanOrEqual(3);
    const file = prompts({ prompt: "一" }, { messages: [{ role: "user", content: "二" }] });
    const { status, stderr } = await run(["base-1", "--prompts", file]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/prompts\.jsonl:2:1: This is a conversation, but base-1 has no chat template/);
  });

  test("draws the same for the same seed", async () => {
    const file = prompts({ prompt: "貓？" });
    const draw = async (seed: string) =>
      (await answers("base-1", file, "--temperature", "1.5", "--top-p", "0.9", "--seed", seed))[0]?.answer;
    expect(await draw("5")).toBe(await draw("5"));
    expect(await draw("5")).not.toBe(await draw("6"));
  });

  test("draws from the likeliest tokens alone", async () => {
    const file = prompts({ prompt: "貓？" });
    const [greedy] = await answers("base-1", file, "--max-new-tokens", "8");
    const hot = ["--max-new-tokens", "8", "--temperature", "50"];
    const [first] = await answers("base-1", file, ...hot, "--top-k", "1");
    expect(first).toEqual(greedy);
    expect((await answers("base-1", file, ...hot))[0]?.answer).not.toBe(greedy?.answer);
  });

  test("ends an answer at a token that is asked for, by name, text or id", async () => {
    const { vocab } = JSON.parse(readFileSync(join(trained, "tokenizer/tokenizer.json"), "utf8")).model;
    const file = prompts({ prompt: "天氣？" }, { prompt: "貓？" });
    for (const token of ["天", String(vocab.天)]) {
      const [weather, cat] = await answers("sft-1", file, "--stop", "。", "--stop", token);
      expect(weather).toMatchObject({ answer: "晴", finish: "stop" });
      expect(cat).toMatchObject({ answer: "很可愛😀！", finish: "stop" });
    }
    const { status, stderr } = await run(["sft-1", "--prompts", file, "--stop", "天氣不好"]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/"天氣不好" is \d+ tokens of the tokenizer/)]);
  });

  test("answers alike however many answers are written at a time", async () => {
    const file = prompts({ prompt: "天氣？" }, { prompt: "貓？" }, { prompt: "天氣？" });
    const one = await answers("sft-1", file, "--batch-size", "1");
    expect(one.map(({ answer }) => answer)).toEqual(["晴天。", "很可愛😀！", "晴天。"]);
    expect(await answers("sft-1", file, "--batch-size", "3")).toEqual(one);
  });

  test("cancelled, keeps whole answers, leaves nothing behind and says 1", async () => {
    const many = Array.from({ length: 4000 }, (_, index) => ({ prompt: `貓？${index}` }));
    const temporary = temporaryFolder();
    const asking = command(["sft-1", "--prompts", prompts(...many), "--format", "json", "--threads", "1"]);
    asking.process.stdout?.once("data", () => asking.process.kill("SIGINT"));
    const { status, stdout, stderr } = await asking.finished;
    expect([status, stderr]).toEqual([1, expect.stringContaining("Cancelled")]);
    const whole = lines(stdout);
    expect(whole.length).toBeLessThan(many.length);
    expect(whole[0]).toMatchObject({ id: 1 });
    expect(readdirSync(temporary)).toEqual([]);
  });
});

/** Where the programs of this test put what is temporary. */
function temporaryFolder(): string {
  const path = join(directory, "temporary");
  mkdirSync(path);
  vi.stubEnv("TMPDIR", path);
  onTestFinished(() => void vi.unstubAllEnvs());
  return path;
}

describe.skipIf(!existsSync(engine))("an engine that does not end when it is told to", () => {
  /** It has one answer, then none any more. */
  function stubborn(): string {
    const path = join(directory, "engine");
    const answer = '{"id":0,"token":300}\n{"id":0,"output_ids":[300],"finish":"stop"}\n';
    const script = `trap '' TERM INT; echo $$ > '${directory}/pid'; printf '${answer.replaceAll("\n", "\\n")}'; exec sleep 600`;
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return path;
  }
  const isGone = async () => {
    const pid = Number(readFileSync(join(directory, "pid"), "utf8"));
    await until(async () => {
      try {
        return process.kill(pid, 0) && undefined;
      } catch {
        return true;
      }
    });
  };
  const twoPrompts = () => prompts({ prompt: "貓？" }, { prompt: "天氣？" });
  const asking = () =>
    new TerminalCommand(program, ["generate", "sft-1", "--prompts", twoPrompts()], trained, stubborn());

  test("does not keep a second Ctrl-C from ending the program, and goes with it", async () => {
    const temporary = temporaryFolder();
    const command = asking();
    command.process.stdout?.once("data", () => command.process.kill("SIGINT"));
    await until(async () => command.stdout !== "");
    const again = setInterval(() => command.process.kill("SIGINT"), 100);
    const { status } = await command.finished;
    clearInterval(again);
    expect(status).toBe(130);
    await isGone();
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("leaves answers apart from the one that it has broken off", async () => {
    const answers =
      '{"id":0,"token":300}\\n{"id":1,"token":301}\\n{"id":1,"output_ids":[301],"finish":"stop"}\\n';
    const path = join(directory, "engine");
    const failing = `printf '${answers}'; echo 'ziptie-engine: the disk is gone' >&2; exit 1`;
    writeFileSync(path, `#!/bin/sh\n${failing}\n`, { mode: 0o755 });
    const ask = (...options: string[]) =>
      new TerminalCommand(
        program,
        ["generate", "sft-1", "--prompts", twoPrompts(), ...options],
        trained,
        path,
      ).finished;
    const { status, stdout, stderr } = await ask();
    expect([status, stdout]).toEqual([1, expect.stringMatching(/^> 貓？\n.* …\n\n> 天氣？\n.*\n\n$/)]);
    expect(stderr).toContain("the disk is gone");
    const [answer, refusal, ...rest] = lines((await ask("--format", "json")).stdout);
    expect([answer, refusal, rest]).toEqual([
      expect.objectContaining({ id: 2, finish: "stop" }),
      { refused: "the disk is gone" },
      [],
    ]);
  });

  test("goes when nobody reads the answers", async () => {
    const temporary = temporaryFolder();
    const path = stubborn();
    // Answers until nobody reads them.
    const line = '{"id":0,"token":300}';
    writeFileSync(path, `#!/bin/sh\necho $$ > '${directory}/pid'\nexec yes '${line}'\n`, { mode: 0o755 });
    const command = new TerminalCommand(
      program,
      ["generate", "sft-1", "--prompts", twoPrompts()],
      trained,
      path,
    );
    command.process.stdout?.once("data", () => command.process.stdout?.destroy());
    await command.finished;
    await isGone();
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("is killed when a window cancels, and nothing is left", async () => {
    const temporary = temporaryFolder();
    const runJob: typeof import("../../../../language-server/src/training/job-process").runJob = (...args) =>
      createRequire(program)("./job-process.js").runJob(...args);
    const controller = new AbortController();
    const job = {
      task: "generate",
      request: {
        model: join(trained, "runs/sft-1"),
        prompts: { path: twoPrompts() },
        settings: defaultSettings,
      },
      engine: { path: stubborn(), origin: "the setting ziptie.engine.path" },
    } as const;
    const onGenerated = ({ event }: GenerationEvent) => {
      if (event === "answer") controller.abort();
    };
    const answer = runJob(job, { report: () => {}, onGenerated, signal: controller.signal });
    await expect(answer).rejects.toThrow(/aborted/);
    expect(readdirSync(temporary)).toEqual([]);
    await isGone();
  });
});

describe.skipIf(!existsSync(engine))("what cannot be answered", () => {
  test("is told with file, line and reason before anything is answered", async () => {
    const file = prompts({ prompt: "貓？" }, { prompt: "貓".repeat(200) }, { prompts: "typo" });
    const { status, stdout, stderr } = await run(["sft-1", "--prompts", file, "--format", "json"]);
    expect([status, JSON.parse(stdout)]).toEqual([
      1,
      { refused: expect.any(String), location: expect.any(Object) },
    ]);
    expect(stderr).toMatch(/prompts\.jsonl:3:1: There is no prompt here/);
    writeFileSync(file, rows([{ prompt: "貓？" }, { prompt: "貓".repeat(200) }]));
    expect((await run(["sft-1", "--prompts", file])).stderr).toMatch(
      /prompts\.jsonl:2:1: This prompt has 20\d tokens; the model takes 96 with the answer/,
    );
  });

  test.each([
    ["no such run", ["none", "--prompts", "dialogues.jsonl"], /There is no run none/],
    ["no such file", ["sft-1", "--prompts", "none.jsonl"], /^none\.jsonl is not there\.$/m],
    ["a number that is none", ["sft-1", "--prompts", "-", "--temperature", "hot"], /a number from 0 on/],
    ["a share above 1", ["sft-1", "--prompts", "-", "--top-p", "1.5"], /above 0, 1 at most/],
    ["no batch", ["sft-1", "--prompts", "-", "--batch-size", "0"], /a whole number above 0/],
    ["part of a token", ["sft-1", "--prompts", "-", "--top-k", "1.5"], /a whole number/],
    ["top-k without a temperature", ["sft-1", "--prompts", "-", "--top-k", "5"], /--top-k .*--temperature/],
    ["an option without effect", ["sft-1", "--prompts", "-", "--top-p", "0.5"], /--temperature/],
  ])("%s is wrong usage", async (_, args, said) => {
    const { status, stderr } = await run(args);
    expect([status, stderr]).toEqual([2, expect.stringMatching(said)]);
  });

  test.each([
    ["a folder of anything", () => directory, /neither a run nor a model/],
    ["a run that is being prepared", () => halfRun({}), /half-1 has no model yet/],
    [
      "a run without a checkpoint",
      () => {
        const model = { path: join(trained, "runs/base-1/model") };
        return halfRun({ "plan.json": { stage: "sft", model, tokenizer_files: [], adapter: null } });
      },
      /half-1 has no checkpoint yet/,
    ],
  ])("%s is refused", async (_, make, said) => {
    const { status, stderr } = await run([make(), "--prompts", "dialogues.jsonl"]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(said)]);
  });

  /** A run directory with its config and these files. */
  function halfRun(files: Record<string, unknown>): string {
    const path = join(directory, "half-1");
    mkdirSync(path);
    const config = join(trained, "sft.ziptie.yaml");
    cpSync(config, join(path, "config.ziptie.yaml"));
    const record = { config, name: "half-1", started: new Date(0).toISOString() };
    for (const [name, value] of Object.entries({ "run.json": record, ...files }))
      writeFileSync(join(path, name), JSON.stringify(value));
    return path;
  }
});

const missing = !existsSync(engine)
  ? " (skipped: no engine)"
  : !existsSync(python)
    ? " (skipped: the oracle's Python environment is not set up)"
    : "";

describe.skipIf(missing !== "")(`answers are those of transformers${missing}`, () => {
  const texts = ["Once upon a time", "Lily and Tom", "<s> The dog", " ", "", "A café 😀 and"];
  const conversations = [
    dialogues[0]?.messages.slice(0, 1),
    [...(dialogues[0]?.messages ?? []), { role: "user", content: "貓？" }],
    [{ role: "user", content: "two" }],
  ];
  /** Both at once: starting Python takes longer than answering. */
  let theirs: string[][];
  beforeAll(() => {
    const adapter = join(trained, "runs/sft-1/adapter");
    const base = join(trained, "runs/base-1/model");
    const requests = [
      { model: base, tokenizer: adapter, adapter, max_new_tokens: 12, prompts: conversations },
      ...(stories
        ? [{ model: stories, tokenizer: stories, adapter: null, max_new_tokens: 40, prompts: texts }]
        : []),
    ];
    const { status, stdout, stderr } = spawnSync(python, [join(__dirname, "generate.py")], {
      input: JSON.stringify(requests),
      encoding: "utf8",
      env: { ...process.env, HF_HUB_OFFLINE: "1", TRANSFORMERS_VERBOSITY: "error" },
    });
    if (status !== 0) throw new Error(stderr);
    theirs = JSON.parse(stdout);
  }, 120_000);

  test("an adapter answers conversations by the template that came with it", async () => {
    const file = prompts(...conversations.map((messages) => ({ messages })));
    const ours = await answers(join(trained, "runs/sft-1/adapter"), file, "--max-new-tokens", "12");
    expect(ours.map(({ answer }) => answer)).toEqual(theirs[0]);
    expect(ours[0]?.answer).toBe("晴天。");
  });

  test.skipIf(stories === undefined)(
    `a model goes on with a text${stories === undefined ? " (skipped: ../shared/data is absent)" : ""}`,
    async () => {
      const file = prompts(...texts.map((prompt) => ({ prompt })));
      const ours = await answers(stories ?? "", file, "--max-new-tokens", "40");
      // At the beginning of a text SentencePiece takes away the space that it has put there; this tokenizer.json leaves it.
      const whole = texts.indexOf("");
      const expected = theirs[1]?.map((answer, index) => (index === whole ? answer.slice(1) : answer));
      expect(ours.map(({ answer }) => answer)).toEqual(expected);
    },
  );
});
