// Stands in for ziptie-engine: the same command line, lock, events and signals as native/README.md documents, and no training.
// The first argument, put there by fake-engine.ts, says how it behaves.
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [behaviour, command, planPath, resume] = process.argv.slice(2);
if (behaviour === "broken") {
  process.stderr.write(
    "ziptie-engine: error while loading shared libraries: libdnnl.so.2: cannot open shared object file\n",
  );
  process.exit(127);
}
if (command !== "train" || (resume !== undefined && resume !== "--resume")) process.exit(2);
const plan = JSON.parse(readFileSync(planPath, "utf8"));
const run = plan.output;
const steps = plan.schedule.steps;

const stat = readFileSync("/proc/self/stat", "latin1");
const startTime = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
const lock = join(run, "run.lock");
writeFileSync(`${lock}.tmp`, JSON.stringify({ pid: process.pid, start_time: startTime }));
renameSync(`${lock}.tmp`, lock);

const say = (event, fields) =>
  appendFileSync(
    join(run, "events.jsonl"),
    `${JSON.stringify({ event, time: new Date().toISOString(), ...fields })}\n`,
  );
const loss = (step) => 4 / step;
const checkpoint = (step) => {
  const path = join(run, "checkpoints", `step-${step}`);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "state.json"), JSON.stringify({ step }));
  say("checkpoint", { step, path });
};
const leave = () => {
  rmSync(lock, { force: true });
  process.exit(0);
};

let step = 0;
let stopping = false;
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    stopping = true;
    if (behaviour === "waits") end();
  });
}
const latest = join(run, "checkpoints", "latest");
if (resume) step = Number(readFileSync(latest, "utf8"));
process.stderr.write(`fake engine: ${steps} steps from ${step}\n`);
say("run_started", {
  device: "cpu: fake",
  parameters: 10,
  trainable_parameters: 10,
  steps,
  pid: process.pid,
  ...(resume ? { resumed_from: step } : {}),
});

if (behaviour === "fails") {
  say("run_failed", { reason: "The loss is not a number at step 1.", step: 1 });
  rmSync(lock, { force: true });
  process.exit(1);
}

function advance() {
  step++;
  say("step", {
    step,
    epoch: step / steps,
    loss: loss(step),
    learning_rate: 1e-3,
    grad_norm: 1,
    tokens: 100,
    supervised_tokens: 50,
    tokens_per_second: 1000,
    memory_bytes: 1 << 20,
    seconds: 0.1,
  });
}

function end() {
  const state = stopping && step < steps ? "stopped" : "finished";
  checkpoint(step);
  writeFileSync(latest, String(step));
  if (state === "finished") mkdirSync(join(run, "model"), { recursive: true });
  say("run_finished", { state, step, loss: loss(step), evaluation_loss: 1.5, output: join(run, "model") });
  leave();
}

if (behaviour === "waits" && !resume) {
  // Two steps and a checkpoint, then nothing until it is told to stop.
  advance();
  advance();
  checkpoint(2);
  writeFileSync(latest, "2");
  advance();
  setInterval(() => {}, 1 << 30);
} else {
  while (step < steps) advance();
  end();
}
