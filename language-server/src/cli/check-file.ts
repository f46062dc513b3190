import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import type { Diagnostic } from "vscode-languageserver";
import { diskFiles } from "../configs/config-files";
import { DatasetChecker } from "../datasets/check";
import type { ConfigIndex } from "../features/config-index";
import { checkConfig, severitiesOf } from "../rules/config-rules";
import { toDiagnostics } from "../rules/diagnostics";
import { checkTemplate } from "../templates/template";
import { LineIndex } from "../text/line-index";
import type { Finding } from "../text/span";
import type { CheckedPath } from "./checked-paths";

/** Bytes of the largest file that fits into one string. */
const largestFile = 0x1ffffff0;

/** Every diagnostic of one file. @throws what `node:fs` throws when it cannot be read */
export async function checkFile(
  { path, kind }: CheckedPath,
  index: ConfigIndex,
): Promise<{ diagnostics: Diagnostic[]; rows: number }> {
  const bytes = readFileSync(path);
  if (bytes.length > largestFile) {
    const message = `This file has ${bytes.length.toLocaleString("en")} bytes; files up to ${largestFile.toLocaleString("en")} are checked. Split it.`;
    const finding = { rule: "length-over-limit", span: { start: 0, end: 0 }, message };
    return { diagnostics: toDiagnostics([finding], new LineIndex(""), {}), rows: 0 };
  }
  const text = bytes.toString("utf8");
  const lines = new LineIndex(text);
  const badBytes = isUtf8(bytes) ? [] : invalidUtf8(bytes);
  if (kind === "training-config") {
    const { reading, findings } = checkConfig(text, path, diskFiles);
    return { diagnostics: toDiagnostics([...badBytes, ...findings], lines, severitiesOf(reading)), rows: 0 };
  }
  const { severities, format } = index.checking(path);
  if (kind === "template") {
    return { diagnostics: toDiagnostics([...badBytes, ...checkTemplate(text)], lines, severities), rows: 0 };
  }
  const checker = new DatasetChecker(text, {
    findingsPerRule: Number.POSITIVE_INFINITY,
    ...(format === null ? {} : { format }),
  });
  const findings = [...badBytes, ...checker.findings()];
  return { diagnostics: toDiagnostics(findings, lines, severities, null), rows: checker.rowCount };
}

/** The first bytes of each line that are not UTF-8, where decoding has put U+FFFD. */
function invalidUtf8(bytes: Buffer): Finding[] {
  const findings: Finding[] = [];
  /** UTF-16 offset of the line in the decoded text. */
  let offset = 0;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline + 1;
    const line = bytes.subarray(start, end);
    if (!isUtf8(line)) findings.push(badLine(line, offset));
    offset += line.toString("utf8").length;
    start = end;
  }
  return findings;
}

function badLine(line: Buffer, offset: number): Finding {
  // The longest prefix that is UTF-8, by halves; a cut inside a character only shortens it.
  let good = 0;
  for (let step = line.length; step >= 1; step = Math.floor(step / 2)) {
    while (good + step <= line.length && isUtf8(line.subarray(0, good + step))) good += step;
  }
  const start = offset + line.subarray(0, good).toString("utf8").length;
  const hex = [...line.subarray(good, good + 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return {
    rule: "invalid-utf8",
    span: { start, end: start + 1 },
    message: `The bytes ${hex} are not UTF-8. Save the file as UTF-8; readers stop here or put U+FFFD in their place.`,
  };
}
