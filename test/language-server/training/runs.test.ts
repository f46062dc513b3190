import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { locateEngine, startEngine } from "../../../language-server/src/training/engine";
import { identify, isAlive, terminate } from "../../../language-server/src/training/process-identity";
import { Refused, RunningAlready } from "../../../language-server/src/training/refused";
import { createRunDirectory, takeStartLock } from "../../../language-server/src/training/run-directory";
import {
  openRun,
  RunsRegistry,
  resumeRun,
  stopRun,
  waitForEnd,
} from "../../../language-server/src/training/runs";
import { type Behaviour, fakeEngine, preparedRun, temporaryDirectory, until } from "./fake-engine";

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  return () => rmSync(directory, { recursive: true, force: true });
});

async function start(run: string, behaviour: Behaviour): Promise<void> {
  await takeStartLock(run);
  await startEngine(fakeEngine(directory, behaviour), run, "train");
  const engine = await (await openRun(run)).run.engine();
  onTestFinished(async () => {
    if (engine !== undefined && (await terminate(engine))) await waitForEnd(engine);
  });
}

const summary = async (run: string) => (await openRun(run)).summary;
const inState = (run: string, state: string) =>
  until(async () => {
    const now = await summary(run);
    return now.state === state ? now : undefined;
  });

describe("the states of a run", () => {
  test("a run that trains to its end is finished, with its last loss and no time left", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "trains");
    const finished = await inState(run, "finished");
    expect(finished).toMatchObject({
      name: "sft-1",
      step: 5,
      steps: 5,
      loss: 0.8,
      evaluation_loss: 1.5,
      resumable: false,
    });
    expect(finished.ended).toBeDefined();
    expect(finished).not.toHaveProperty("eta_seconds");
  });

  test("a running run has a time left; told to stop it leaves a checkpoint and is stopped", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "waits");
    const running = await until(async () => {
      const now = await summary(run);
      return now.step === 3 ? now : undefined;
    });
    expect(running).toMatchObject({ state: "running", step: 3, steps: 5, resumable: false });
    expect(running.eta_seconds).toBeGreaterThanOrEqual(0);
    await waitForEnd(await stopRun(run));
    expect(await summary(run)).toMatchObject({ state: "stopped", step: 3, resumable: true });
  });

  test("a killed engine leaves an interrupted run that says from where it can be resumed", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "waits");
    const { run: opened } = await openRun(run);
    const engine = await opened.engine();
    if (engine === undefined) throw new Error("the engine is not there");
    await until(async () => (await summary(run)).step === 3);
    process.kill(engine.pid, "SIGKILL");
    await waitForEnd(engine);
    const interrupted = await summary(run);
    expect(interrupted).toMatchObject({ state: "interrupted", step: 3, resumable: true });
    expect(interrupted.reason).toContain("resumed from step 2");
  });

  test("a failed run gives the engine's reason", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "fails");
    expect(await inState(run, "failed")).toMatchObject({
      reason: "The loss is not a number at step 1.",
      resumable: false,
    });
  });

  test("a directory whose preparation was killed is interrupted and cannot be resumed", async () => {
    const run = await createRunDirectory(
      directory,
      { config: "/c", name: "sft", started: "2025-01-01" },
      "stage: sft\n",
    );
    expect(await summary(run)).toMatchObject({ state: "preparing" });
    writeFileSync(join(run, "start.lock"), JSON.stringify({ pid: process.pid, start_time: 1 }));
    expect(await summary(run)).toMatchObject({ state: "interrupted", resumable: false });
  });

  test("a run that was only evaluated stands before its first step; begun again, it has yet to be", async () => {
    const run = preparedRun(directory, "sft-1");
    const time = "2025-01-01T00:00:00.000Z";
    const say = (...events: object[]) =>
      appendFileSync(
        join(run, "events.jsonl"),
        events.map((event) => `${JSON.stringify({ time, ...event })}\n`).join(""),
      );
    const started = { event: "run_started", device: "cpu", parameters: 1, trainable_parameters: 1, steps: 5 };
    say(started, { event: "evaluation", step: 0, loss: 6, tokens: 9 });
    expect(await summary(run)).toMatchObject({ step: 0, steps: 5, loss: null, evaluation_loss: 6 });
    say({ event: "run_finished", state: "stopped", step: 0 }, { ...started, resumed_from: 0 });
    expect(await summary(run)).toMatchObject({ step: 0, loss: null, evaluation_loss: null });
  });

  test("half a line at the end and garbage in between change nothing", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "trains");
    await inState(run, "finished");
    appendFileSync(join(run, "events.jsonl"), 'garbage\n{"event":"step","st');
    expect(await summary(run)).toMatchObject({ state: "finished", step: 5 });
  });
});

describe("resuming", () => {
  test("a stopped run goes on from its checkpoint, in the same directory, to its end", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "waits");
    await until(async () => (await summary(run)).step === 3);
    await waitForEnd(await stopRun(run));
    expect(await resumeRun(run, fakeEngine(directory, "trains"))).toBe(run);
    expect(await inState(run, "finished")).toMatchObject({ step: 5, loss: 0.8 });
    expect(readFileSync(join(run, "engine.log"), "utf8")).toContain("5 steps from 3");
    expect(existsSync(join(run, "start.lock"))).toBe(false);
  });

  test("a run that is going on is not started twice", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "waits");
    await expect(resumeRun(run, fakeEngine(directory, "trains"))).rejects.toThrow(RunningAlready);
  });

  test("finished runs and runs without a checkpoint are refused with the reason", async () => {
    const finished = preparedRun(directory, "sft-1");
    await start(finished, "trains");
    await inState(finished, "finished");
    const failed = preparedRun(directory, "sft-2");
    await start(failed, "fails");
    await inState(failed, "failed");
    const engine = fakeEngine(directory, "trains");
    await expect(resumeRun(finished, engine)).rejects.toThrow(/has finished/);
    await expect(resumeRun(failed, engine)).rejects.toThrow(/no complete checkpoint/);
  });
});

describe("stopping", () => {
  test("a recycled process id is never signalled", async () => {
    const bystander = spawn(process.execPath, ["-e", "setInterval(() => {}, 1 << 30)"]);
    const identity = await until(() => identify(bystander.pid ?? 0));
    const run = preparedRun(directory, "sft-1");
    writeFileSync(
      join(run, "run.lock"),
      JSON.stringify({ pid: identity.pid, start_time: identity.start_time - 1 }),
    );
    await expect(stopRun(run)).rejects.toThrow(/is not running: it is interrupted/);
    expect(await isAlive(identity)).toBe(true);
    const gone = new Promise((resolve) => bystander.once("exit", resolve));
    bystander.kill("SIGKILL");
    await gone;
  });

  test("what is no run is refused by name", async () => {
    await expect(stopRun(join(directory, "none"))).rejects.toThrow(/There is no run at/);
    await expect(stopRun(directory)).rejects.toThrow(/is no run directory/);
  });

  test("a dead process that nobody has reaped counts as gone", async () => {
    // The child ends only when the shell, which would ask for it, has been replaced by sleep, which never does.
    const parent = spawn("/bin/sh", ["-c", "exec 3<&0; sh -c 'read line <&3' & echo $!; exec sleep 1000"]);
    const pid = await new Promise<number>((resolve) =>
      parent.stdout.once("data", (data) => resolve(Number(data))),
    );
    await until(async () => readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
    expect(await identify(pid)).toMatchObject({ pid });
    parent.stdin.write("end\n");
    await until(async () => (await identify(pid)) === undefined);
    expect(readFileSync(`/proc/${pid}/stat`, "latin1")).toContain(") Z ");
    const gone = new Promise((resolve) => parent.once("exit", resolve));
    parent.kill("SIGKILL");
    await gone;
  });
});

describe("starting", () => {
  test("an engine that cannot be loaded is a refusal with the end of its log", async () => {
    const run = preparedRun(directory, "sft-1");
    await takeStartLock(run);
    await expect(startEngine(fakeEngine(directory, "broken"), run, "train")).rejects.toThrow(
      /ended as soon as it was started[\s\S]*libdnnl\.so\.2: cannot open shared object file/,
    );
    expect(existsSync(join(run, "start.lock"))).toBe(false);
  });

  test("the engine is nobody's child: it outlives whoever started it", async () => {
    const run = preparedRun(directory, "sft-1");
    await start(run, "waits");
    const engine = await (await openRun(run)).run.engine();
    const stat = readFileSync(`/proc/${engine?.pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
    const [, parent, , session] = stat.map(Number);
    expect(parent).not.toBe(process.pid);
    const own = readFileSync("/proc/self/stat", "latin1").split(") ")[1]?.split(" ").map(Number) ?? [];
    expect(session).not.toBe(own[3]);
  });

  test("a named engine that is missing, no file or not executable is refused, and no other is taken", async () => {
    await expect(locateEngine(join(directory, "none"))).rejects.toThrow(
      /no engine at .*none.*ziptie\.engine\.path/s,
    );
    await expect(locateEngine(directory)).rejects.toThrow(/is not a file/);
    const plain = join(directory, "plain");
    writeFileSync(plain, "");
    await expect(locateEngine(plain)).rejects.toThrow(/may not be executed/);
  });

  test("the setting comes before ZIPTIE_ENGINE", async () => {
    const [one, other] = [fakeEngine(directory, "trains").path, fakeEngine(directory, "waits").path];
    const before = process.env.ZIPTIE_ENGINE;
    process.env.ZIPTIE_ENGINE = other;
    onTestFinished(() => {
      if (before === undefined) delete process.env.ZIPTIE_ENGINE;
      else process.env.ZIPTIE_ENGINE = before;
    });
    expect((await locateEngine(one)).path).toBe(one);
    expect(await locateEngine("")).toEqual({ path: other, origin: "the environment variable ZIPTIE_ENGINE" });
  });
});

describe("run directories", () => {
  const record = { config: "/c/sft.ziptie.yaml", name: "sft", started: "2025-01-01T00:00:00.000Z" };

  test("starts at the same moment get different numbers", async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, () => createRunDirectory(directory, record, "")),
    );
    expect(made.sort()).toEqual(Array.from({ length: 8 }, (_, i) => join(directory, `sft-${i + 1}`)));
    expect(readdirSync(directory)).toHaveLength(8);
  });

  test("numbers go on from the highest, and other names do not count", async () => {
    for (const name of ["sft-2", "sft-10", "sft-x", "sft-long-30", "sft-007"]) {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, "mine"), "");
    }
    expect(await createRunDirectory(directory, record, "")).toBe(join(directory, "sft-11"));
  });
});

describe("the list of runs", () => {
  test("is newest first, and passes over what is no run, vanished or unreadable", async () => {
    for (const [name, started] of [
      ["a-1", "2025-01-01"],
      ["a-2", "2025-01-03"],
      ["b-1", "2025-01-02"],
    ] as const) {
      const run = preparedRun(directory, name);
      writeFileSync(join(run, "run.json"), JSON.stringify({ config: "/c", started, name }));
    }
    mkdirSync(join(directory, "notes"));
    mkdirSync(join(directory, "broken-1"));
    writeFileSync(join(directory, "broken-1", "run.json"), "{");
    const registry = new RunsRegistry();
    const names = async () =>
      (await registry.list([directory, join(directory, "missing")])).map(({ name }) => name);
    expect(await names()).toEqual(["a-2", "b-1", "a-1"]);
    rmSync(join(directory, "b-1"), { recursive: true });
    expect(await names()).toEqual(["a-2", "a-1"]);
  });

  test("a run whose events may not be read says so", async () => {
    const run = preparedRun(directory, "a-1");
    mkdirSync(join(run, "events.jsonl"));
    expect((await summary(run)).reason).toMatch(/events cannot be read/);
  });

  test("refusals are typed", async () => {
    await expect(openRun(directory)).rejects.toThrow(Refused);
  });
});
