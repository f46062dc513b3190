// Readers of the machine-readable reports that the test runners write.
import { existsSync, readFileSync } from "node:fs";

/**
 * @typedef {{passed: number, failed: number, skipped: {name: string, reason: string}[]}} Report
 */

const entities = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
const decodeEntities = (text) =>
  text
    .replace(/&#(x?)([0-9a-f]+);/gi, (_, hex, digits) =>
      String.fromCodePoint(Number.parseInt(digits, hex ? 16 : 10)),
    )
    .replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => entities[name]);

function attribute(attributes, name) {
  const found = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes);
  return found ? decodeEntities(found[1]) : null;
}

/** CTest knows only how a test said that it was skipped; why is in what that printed. */
function skipReason(message, body) {
  const said = /<system-out>[^<]*?\bskipped: ([^\n<]+)/.exec(body);
  return message?.startsWith("SKIP_RETURN_CODE=") && said ? decodeEntities(said[1]) : message;
}

/** JUnit XML as CTest and pytest write it: one `testcase` element a test. @returns {Report | null} null when there is no report */
export function readJUnit(file) {
  if (!existsSync(file)) return null;
  const report = { passed: 0, failed: 0, skipped: [] };
  const cases = /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
  for (const [, attributes, body = ""] of readFileSync(file, "utf8").matchAll(cases)) {
    const name = [attribute(attributes, "classname"), attribute(attributes, "name")]
      .filter(Boolean)
      .join(" ");
    const skip = /<skipped\b((?:[^>"]|"[^"]*")*)/.exec(body);
    if (skip) {
      report.skipped.push({
        name,
        reason: skipReason(attribute(skip[1], "message"), body) ?? "no reason given",
      });
    } else if (/<(failure|error)\b/.test(body) || attribute(attributes, "status") === "fail") {
      report.failed += 1;
    } else {
      report.passed += 1;
    }
  }
  return report;
}

/** The report that our own reporters for vitest and mocha write. @returns {Report | null} null when there is no report */
export function readCounts(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
}
