#!/usr/bin/env node
// npm run bench -- NAME…: sets up, then runs test/bench/NAME.ts (on Node, bundled first) or test/bench/NAME.py (in the oracle environment).
import { existsSync, readdirSync } from "node:fs";
import { join, parse } from "node:path";
import { dist, root } from "./paths.mjs";
import { exitStatus, main, Problem, run } from "./processes.mjs";
import { installOracle, oraclePython } from "./setup/oracle-venv.mjs";
import { ensurePrerequisites } from "./setup/prerequisites.mjs";
import { setUp } from "./setup.mjs";

const folder = join(root, "test", "bench");

function available() {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return new Map(files.filter((file) => /\.(ts|py)$/.test(file)).map((file) => [parse(file).name, file]));
}

async function bench(file) {
  if (file.endsWith(".py")) {
    await ensurePrerequisites("tests");
    await installOracle();
    return exitStatus(oraclePython, [join(folder, file)]);
  }
  const bundle = join(dist, "bench", `${parse(file).name}.cjs`);
  const esbuild = join(root, "node_modules", ".bin", "esbuild");
  const options = [
    "--bundle",
    "--platform=node",
    "--format=cjs",
    "--packages=external",
    `--outfile=${bundle}`,
  ];
  await run(esbuild, [join(folder, file), ...options]);
  return exitStatus(process.execPath, [bundle]);
}

await main(async () => {
  const benches = available();
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => !benches.has(name));
  if (names.length === 0 || unknown.length > 0) {
    throw new Problem(
      `${unknown.length > 0 ? `No such bench: ${unknown.join(", ")}. ` : ""}Usage: npm run bench -- NAME…, with NAME one of: ${[...benches.keys()].join(", ") || "(none yet)"}`,
    );
  }
  await setUp();
  let failed = 0;
  for (const name of names) failed += (await bench(benches.get(name))) === 0 ? 0 : 1;
  return failed === 0 ? 0 : 1;
});
