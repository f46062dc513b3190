import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readJUnit } from "../../scripts/test/reports.mjs";

describe("a JUnit report", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ziptie-reports-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const read = (xml: string) => {
    const file = join(folder, "report.xml");
    writeFileSync(file, xml);
    return readJUnit(file);
  };

  it("counts what pytest writes, errors in fixtures among the failures", () => {
    expect(
      read(`<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" tests="4">
<testcase classname="test_forward" name="test_logits[a&gt;b]" time="0.1" />
<testcase classname="test_forward" name="test_loss" time="0.1"><failure message="assert 1 &lt; 0">def test(): ...</failure></testcase>
<testcase classname="test_forward" name="test_fixture" time="0.1"><error message="failed on setup">…</error></testcase>
<testcase classname="test_data" name="test_stories" time="0.1"><skipped type="pytest.skip" message="no &quot;stories260k&quot; here">x:1</skipped></testcase>
</testsuite></testsuites>`),
    ).toEqual({
      passed: 1,
      failed: 2,
      skipped: [{ name: "test_data test_stories", reason: 'no "stories260k" here' }],
    });
  });

  it("counts what CTest writes, a crash among the failures, and says why a test was skipped", () => {
    expect(
      read(`<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux-c++" tests="3" failures="1" disabled="0" skipped="1">
	<testcase name="ops: a matrix &amp; its transpose" classname="ops" time="0.01" status="run">
		<properties/>
		<system-out>[doctest] test cases: 1 | 1 passed</system-out>
	</testcase>
	<testcase name="ops: softmax" classname="ops" time="0.01" status="fail">
		<failure message="SEGFAULT"/>
		<system-out></system-out>
	</testcase>
	<testcase name="data: stories" classname="data" time="0.00" status="notrun">
		<skipped message="SKIP_RETURN_CODE=77"/>
	</testcase>
	<testcase name="disk: full" classname="disk" time="0.00" status="notrun">
		<skipped message="SKIP_RETURN_CODE=77"/>
		<properties/>
		<system-out>[doctest] doctest version is "2.4.9"
skipped: no file system can be mounted at &lt;here&gt;: Operation not permitted
[doctest] Status: SUCCESS!
</system-out>
	</testcase>
</testsuite>`),
    ).toEqual({
      passed: 1,
      failed: 1,
      skipped: [
        { name: "data data: stories", reason: "SKIP_RETURN_CODE=77" },
        {
          name: "disk disk: full",
          reason: "no file system can be mounted at <here>: Operation not permitted",
        },
      ],
    });
  });

  it("is null when the runner ended without writing one", () => {
    expect(readJUnit(join(folder, "absent.xml"))).toBeNull();
  });
});
