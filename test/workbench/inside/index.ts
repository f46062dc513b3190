import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Mocha from "mocha";

/** What VS Code calls: runs every suite beside this file and rejects if a test fails. */
export function run(): Promise<void> {
  const mocha = new Mocha({ ui: "bdd", timeout: 60_000, color: false, reporter: "spec" });
  for (const name of readdirSync(__dirname)) {
    if (name.endsWith(".test.js")) mocha.addFile(join(__dirname, name));
  }
  return new Promise((resolve, reject) => {
    const report = { passed: 0, failed: 0, skipped: [] as { name: string; reason: string }[] };
    const runner = mocha.run((failures) => {
      const file = process.env.ZIPTIE_TEST_REPORT;
      if (file !== undefined) writeFileSync(file, JSON.stringify(report));
      if (failures > 0) reject(new Error(`${failures} failed`));
      else resolve();
    });
    runner.on("pass", () => {
      report.passed += 1;
    });
    runner.on("fail", () => {
      report.failed += 1;
    });
    runner.on("pending", (test) => {
      report.skipped.push({ name: test.fullTitle(), reason: "no reason given" });
    });
  });
}
