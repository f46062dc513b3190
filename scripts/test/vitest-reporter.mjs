import { writeFileSync } from "node:fs";

/** A test that is left out when its file is collected has nowhere but its title to say why: "… (skipped: REASON)". */
function reasonInTitle(title) {
  return /\((?:skipped: )?([^()]+)\)/.exec(title)?.[1];
}

/** Counts tests, with the reason of each skip, into the JSON file named by ZIPTIE_TEST_REPORT. */
export default class CountingReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const inState = (state) => tests.filter((test) => test.result().state === state);
    // A file that cannot be imported has no tests to count, and an error outside any test belongs to none.
    const broken = modules.filter((module) => module.errors().length > 0);
    const report = {
      passed: inState("passed").length,
      failed: inState("failed").length + broken.length + unhandledErrors.length,
      skipped: inState("skipped").map((test) => ({
        name: test.fullName,
        reason: test.result().note ?? reasonInTitle(test.fullName) ?? "no reason given",
      })),
    };
    writeFileSync(process.env.ZIPTIE_TEST_REPORT, JSON.stringify(report));
  }
}
