#!/usr/bin/env node
// npm test [-- SUITE…]: sets up, runs the suites (without names, all but those on request), and closes with the one line "N passed, N failed, N skipped".
import { main, Problem } from "./processes.mjs";
import { ensurePrerequisites } from "./setup/prerequisites.mjs";
import { setUp } from "./setup.mjs";
import { runSuite, suites } from "./test/suites.mjs";

const count = ({ passed, failed, skipped }) => `${passed} passed, ${failed} failed, ${skipped} skipped`;

await main(async () => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !(name in suites));
  if (unknown.length > 0) {
    const list = Object.entries(suites).map(([name, { what }]) => `  ${name.padEnd(12)}${what}`);
    throw new Problem(`No such suite: ${unknown.join(", ")}. There are:\n${list.join("\n")}`);
  }

  const everyDay = Object.keys(suites).filter((name) => !suites[name].onRequest);
  const total = { passed: 0, failed: 0, skipped: 0 };
  const summaries = [];
  try {
    await setUp();
    await ensurePrerequisites("tests");
    for (const name of chosen.length > 0 ? chosen : everyDay) {
      process.stdout.write(`\n━━ ${name}: ${suites[name].what}\n\n`);
      const started = performance.now();
      const report = await runSuite(suites[name]);
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      total.passed += report.passed;
      total.failed += report.failed;
      total.skipped += report.skipped.length;
      summaries.push(
        `${name.padEnd(12)}${count({ ...report, skipped: report.skipped.length })} (${seconds} s)`,
      );
      for (const { name: test, reason } of report.skipped) summaries.push(`  skipped: ${test}: ${reason}`);
    }
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    process.stdout.write(`\n✗ ${error.message}\n`);
    total.failed += 1;
    summaries.push("setup failed");
  }
  process.stdout.write(`\n━━ summary\n\n${summaries.join("\n")}\n\n${count(total)}\n`);
  return total.failed === 0 ? 0 : 1;
});
