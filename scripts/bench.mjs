#!/usr/bin/env node
// npm run bench -- NAME [OPTION…]: sets up, then runs test/bench/NAME.ts (on Node, bundled first), NAME.mjs (on Node as it is)
// or NAME.py (in the oracle environment).
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
  return new Map(files.filter((file) => /\.(ts|mjs|py)$/.test(file)).map((file) => [parse(file).name, file]));
}

async function bench(file, options) {
  if (file.endsWith(".py")) {
    await ensurePrerequisites("tests");
    await installOracle();
    return exitStatus(oraclePython, [join(folder, file), ...options]);
  }
  if (file.endsWith(".mjs")) {
    await ensurePrerequisites("tests");
    return exitStatus(process.execPath, [join(folder, file), ...options]);
  }
  const bundle = join(dist, "bench", `${parse(file).name}.cjs`);
  await run(join(root, "node_modules", ".bin", "esbuild"), [
    ...[join(folder, file), "--bundle", "--platform=node", "--format=cjs", "--packages=external"],
    ...[`--outfile=${bundle}`, "--log-level=warning"],
  ]);
  return exitStatus(process.execPath, [bundle, ...options]);
}

await main(async () => {
  const benches = available();
  const [name, ...options] = process.argv.slice(2);
  const file = benches.get(name);
  if (file === undefined) {
    throw new Problem(
      `${name === undefined ? "" : `No such bench: ${name}. `}Usage: npm run bench -- NAME [OPTION…], NAME being one of: ${[...benches.keys()].join(", ")}`,
    );
  }
  await setUp();
  return (await bench(file, options)) === 0 ? 0 : 1;
});
