#!/usr/bin/env node
// npm run fuzz [-- [--seconds N] TARGET…]: builds the fuzzers with clang and lets each search for N seconds (60). Ends with status 1 on a
// finding, whose input is kept beside the corpus.
import { mkdirSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dist, root } from "./paths.mjs";
import { findProgram, main, Problem, run, step } from "./processes.mjs";
import { ensurePrerequisites } from "./setup/prerequisites.mjs";

const build = join(dist, "native-fuzz");

function options() {
  const { values, positionals } = parseArgs({
    options: { seconds: { type: "string", default: "60" } },
    allowPositionals: true,
  });
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seconds) || seconds < 1)
    throw new Problem("--seconds expects a whole number from 1 up.");
  return { seconds, chosen: positionals };
}

function targets(chosen) {
  const all = readdirSync(join(root, "native", "fuzz"))
    .filter((file) => file.endsWith("_fuzz.cpp"))
    .map((file) => file.replace("_fuzz.cpp", ""));
  const unknown = chosen.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    throw new Problem(`No such target: ${unknown.join(", ")}. There are: ${all.join(", ")}`);
  }
  return chosen.length > 0 ? chosen : all;
}

async function buildFuzzers() {
  await ensurePrerequisites("build");
  if (findProgram("clang++") === null) {
    throw new Problem(
      "Fuzzing needs clang, for its libFuzzer. On Debian and Ubuntu:\n  sudo apt-get install --no-install-recommends clang libclang-rt-14-dev",
    );
  }
  await step("build the fuzzers", async () => {
    const settings = [
      "-DZIPTIE_FUZZ=ON",
      "-DCMAKE_CXX_COMPILER=clang++",
      "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    ];
    await run("cmake", ["-S", "native", "-B", build, "-G", "Ninja", ...settings]);
    await run("cmake", ["--build", build, "--parallel", String(availableParallelism())]);
  });
}

/** Searches for `seconds`; gives what libFuzzer counted. @throws {Problem} on a finding */
async function fuzz(target, seconds) {
  const corpus = join(build, "corpus", target);
  const findings = join(build, "findings");
  for (const directory of [corpus, findings]) mkdirSync(directory, { recursive: true });
  await run(join(build, "fuzz", `seeds_${target}`), [corpus]);
  const said = await run(
    "sh",
    [
      "-c",
      'exec "$0" "$@" 2>&1',
      join(build, "fuzz", `fuzz_${target}`),
      ...[corpus, `-artifact_prefix=${findings}/${target}-`, `-max_total_time=${seconds}`],
      ...["-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1", "-verbosity=0"],
    ],
    { cwd: findings },
  );
  const executions = said.match(/number_of_executed_units:\s*(\d+)/)?.[1];
  if (!executions) throw new Problem(`${target}: libFuzzer did not say what it did:\n${said}`);
  return Number(executions);
}

await main(async () => {
  const { seconds, chosen } = options();
  const names = targets(chosen);
  await buildFuzzers();
  for (const target of names) {
    await step(`${target}: ${seconds} s`, async () => {
      const executions = await fuzz(target, seconds);
      process.stdout.write(`  ${executions.toLocaleString("en")} executions, no finding\n`);
    });
  }
});
