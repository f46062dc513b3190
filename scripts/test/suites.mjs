import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { installCodeServer } from "../code-server/install.mjs";
import { packageExtension } from "../package.mjs";
import { dist, root } from "../paths.mjs";
import { exitStatus, Problem, run } from "../processes.mjs";
import { buildSanitizedEngine, engineBuild, sanitizedBuild } from "../setup/engine.mjs";
import { installOracle, oraclePython } from "../setup/oracle-venv.mjs";
import { readCounts, readJUnit } from "./reports.mjs";

/**
 * @typedef {import("./reports.mjs").Report} Report
 * @typedef {object} Suite
 * @property {string} what one line for people
 * @property {() => Promise<void>} [prepare] what this suite needs beyond `npm run setup`; a Problem skips the suite outside CI if `optional`
 * @property {boolean} [optional]
 * @property {boolean} [onRequest] runs only when it is named
 * @property {() => Promise<Report>} run shows the runner's own output
 */

const bin = (name) => join(root, "node_modules", ".bin", name);

function reportFile(name) {
  const file = join(dist, "test-reports", name);
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  return file;
}

/** A runner that fails without a failed test in its report has itself failed, and that must not pass unseen. */
function settle(report, status) {
  if (report === null) return { passed: 0, failed: 1, skipped: [] };
  if (status !== 0 && report.failed === 0) return { ...report, failed: 1 };
  return report;
}

async function vitest(project) {
  const report = reportFile(`${project}.json`);
  const reporter = join(root, "scripts", "test", "vitest-reporter.mjs");
  const status = await exitStatus(
    bin("vitest"),
    ["run", "--project", project, "--reporter=default", `--reporter=${reporter}`],
    { env: { ZIPTIE_TEST_REPORT: report } },
  );
  return settle(readCounts(report), status);
}

async function trackedFiles(...patterns) {
  const listed = await run("git", [
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "--",
    ...patterns,
  ]);
  return listed.split("\n").filter((path) => path !== "");
}

async function ctest(build, name, env = {}) {
  const report = reportFile(`${name}.xml`);
  const status = await exitStatus(
    "ctest",
    [
      ...["--test-dir", build, "--output-on-failure", "--no-tests=error"],
      ...["--parallel", String(availableParallelism()), "--output-junit", report],
    ],
    { env },
  );
  return settle(readJUnit(report), status);
}

/** Checks that have no runner of their own: each counts as one test. */
const checks = {
  "Biome finds nothing to complain about": () =>
    exitStatus(bin("biome"), ["check", "--error-on-warnings", "--max-diagnostics=50"]),
  "TypeScript agrees with every type": () => exitStatus(bin("tsc"), ["-b"]),
  "clang-format would change nothing": async () =>
    exitStatus("clang-format", [
      "--dry-run",
      "-Werror",
      ...(await trackedFiles("native/*.cpp", "native/*.h", "native/*.cu")),
    ]),
  "package-lock.json names no download hosts": async () => {
    const hosts =
      readFileSync(join(root, "package-lock.json"), "utf8").match(/"resolved": "[a-z+]+:\/\/[^"]*"/g) ?? [];
    process.stdout.write(
      hosts
        .slice(0, 5)
        .map((each) => `${each}\n`)
        .join(""),
    );
    return hosts.length === 0 ? 0 : 1;
  },
};

/** @type {Record<string, Suite>} in the order they run: what is quick and likely to fail comes first */
export const suites = {
  static: {
    what: "formatting, lint, types",
    async run() {
      const report = { passed: 0, failed: 0, skipped: [] };
      for (const [name, check] of Object.entries(checks)) {
        const passed = (await check()) === 0;
        process.stdout.write(`${passed ? "✓" : "✗"} ${name}\n`);
        report[passed ? "passed" : "failed"] += 1;
      }
      return report;
    },
  },
  typescript: {
    what: "language server, extension and panels (vitest)",
    // Some compare with Python's tokenizers and transformers; without them they skip themselves, which CI must not.
    prepare: () => installOracle().catch((error) => (process.env.CI ? Promise.reject(error) : undefined)),
    run: () => vitest("typescript"),
  },
  engine: {
    what: "the native engine (doctest under CTest)",
    run: () => ctest(engineBuild, "engine"),
  },
  sanitize: {
    what: "the same tests of the engine, built with AddressSanitizer and UndefinedBehaviorSanitizer",
    onRequest: true,
    prepare: buildSanitizedEngine,
    run: () => ctest(sanitizedBuild, "sanitize", { ASAN_OPTIONS: "detect_leaks=1" }),
  },
  oracle: {
    what: "the engine against PyTorch, transformers and PEFT (pytest)",
    optional: true,
    prepare: installOracle,
    async run() {
      const report = reportFile("oracle.xml");
      const options = ["-p", "no:cacheprovider", "--color=yes", "-rs", `--junitxml=${report}`];
      const status = await exitStatus(oraclePython, ["-m", "pytest", ...options, "test/oracle"]);
      return settle(readJUnit(report), status);
    },
  },
  package: {
    what: "the packaged extension (vitest)",
    prepare: () => packageExtension(),
    run: () => vitest("package"),
  },
  workbench: {
    what: "a real VS Code, from inside and from outside",
    async prepare() {
      await installCodeServer();
      await packageExtension();
    },
    async run() {
      const report = reportFile("workbench-inside.json");
      const status = await exitStatus(process.execPath, [join(root, "test", "workbench", "run-inside.mjs")], {
        env: { ZIPTIE_TEST_REPORT: report },
      });
      const inside = settle(readCounts(report), status);
      const outside = await vitest("workbench");
      return {
        passed: inside.passed + outside.passed,
        failed: inside.failed + outside.failed,
        skipped: [...inside.skipped, ...outside.skipped],
      };
    },
  },
};

/** @returns {Promise<Report>} with every failure, also that of preparing, counted */
export async function runSuite(suite) {
  try {
    await suite.prepare?.();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (suite.optional && !process.env.CI) {
      process.stdout.write(`${error.message}\n`);
      return {
        passed: 0,
        failed: 0,
        skipped: [{ name: "the whole suite", reason: "it could not be installed, see above" }],
      };
    }
    process.stdout.write(`✗ ${error.message}\n`);
    return { passed: 0, failed: 1, skipped: [] };
  }
  return suite.run();
}
