import { readFileSync } from "node:fs";
import type { Diagnostic } from "vscode-languageserver";
import { diskFiles } from "../configs/config-files";
import { readDataset } from "../datasets/read-dataset";
import { UnreadableDatasetError } from "../documents/row-stream";
import { decodeUtf8 } from "../documents/utf8";
import type { ConfigIndex } from "../features/config-index";
import { checkConfig, severitiesOf } from "../rules/config-rules";
import { toDiagnostics } from "../rules/diagnostics";
import type { RuleSeverities } from "../rules/severity";
import { checkTemplate } from "../templates/template";
import { LineIndex } from "../text/line-index";
import type { CheckedPath } from "./checked-paths";

export interface CheckedFile {
  diagnostics: Diagnostic[];
  /** Rows of a dataset; 0 for anything else. */
  rows: number;
}

/**
 * Every diagnostic of one file; a dataset may be larger than memory.
 * @param onProgress called now and then with the share of the file that has been checked, 0 to 1
 * @throws what `node:fs` throws when it cannot be read
 */
export async function checkFile(
  { path, kind }: CheckedPath,
  index: ConfigIndex,
  onProgress: (fraction: number) => void,
): Promise<CheckedFile> {
  if (kind === "dataset") return checkDataset(path, index, onProgress);
  const { text, findings: faults } = decodeUtf8(readFileSync(path));
  const lines = new LineIndex(text);
  if (kind === "training-config") {
    const { reading, findings } = checkConfig(text, path, diskFiles);
    return { diagnostics: toDiagnostics([...faults, ...findings], lines, severitiesOf(reading)), rows: 0 };
  }
  const { severities } = index.checking(path);
  return { diagnostics: toDiagnostics([...faults, ...checkTemplate(text)], lines, severities), rows: 0 };
}

async function checkDataset(
  path: string,
  index: ConfigIndex,
  onProgress: (fraction: number) => void,
): Promise<CheckedFile> {
  const { severities, format } = index.checking(path);
  const diagnostics: Diagnostic[] = [];
  let rows = 0;
  try {
    const options = {
      format: format ?? undefined,
      onProgress: (read: number, total: number) => onProgress(read / total),
    };
    for await (const row of readDataset(path, options)) {
      if (row.index !== undefined) rows++;
      if (row.findings.length > 0) diagnostics.push(...toDiagnostics(row.findings, row, severities, null));
    }
  } catch (error) {
    if (!(error instanceof UnreadableDatasetError)) throw error;
    diagnostics.push(...ofWholeFile(error, severities));
  }
  return { diagnostics, rows };
}

function ofWholeFile({ rule, reason }: UnreadableDatasetError, severities: RuleSeverities): Diagnostic[] {
  const finding = { rule, span: { start: 0, end: 0 }, message: reason };
  return toDiagnostics([finding], new LineIndex(""), severities, null);
}
