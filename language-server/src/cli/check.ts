import type { Command } from "commander";
import { Option } from "commander";
import type { Diagnostic } from "vscode-languageserver";
import { ConfigIndex } from "../features/config-index";
import { OpenDocuments } from "../features/open-documents";
import { defaultSettings } from "../features/settings";
import { type DiagnosticData, severityName } from "../rules/diagnostics";
import { checkFile } from "./check-file";
import { type CheckedPath, filesToCheck } from "./checked-paths";
import { ProgressLine } from "./progress-line";

/** The JSON document of `ziptie check`. Lines and characters count from 0 in UTF-16, as in LSP. */
export interface CheckDocument {
  diagnostics: {
    /** As the user named it. */
    file: string;
    range: Diagnostic["range"];
    severity: "error" | "warning" | "information" | "hint";
    rule: string;
    message: string;
    /** How many repairs the editor offers. */
    fixes: number;
  }[];
  files: number;
  rows: number;
}

export function registerCheck(program: Command): void {
  program
    .command("check")
    .description(
      "Print every diagnostic the editor would show for these files and folders, and for the data that their configs name.",
    )
    .argument("<path...>", "training configs, datasets, templates, or folders of them")
    .addOption(new Option("--format <format>", "how to print them").choices(["text", "json"]).default("text"))
    .action(async (paths: string[], { format }: { format: "text" | "json" }) => {
      const { files, problems } = filesToCheck(paths);
      for (const problem of problems) process.stderr.write(`ziptie: ${problem}\n`);
      if (problems.length > 0) {
        process.exitCode = 2;
        return;
      }
      const document = await checkFiles(files);
      process.stdout.write(format === "json" ? `${JSON.stringify(document)}\n` : textOf(document));
      process.exitCode = document.diagnostics.some(({ severity }) => severity === "error") ? 1 : 0;
    });
}

/** @throws what `node:fs` throws for a file that has become unreadable since it was found */
export async function checkFiles(files: readonly CheckedPath[]): Promise<CheckDocument> {
  const index = new ConfigIndex({
    documents: new OpenDocuments(),
    workspaceFolders: () => [process.cwd()],
    settings: () => defaultSettings,
  });
  const document: CheckDocument = { diagnostics: [], files: files.length, rows: 0 };
  const progress = new ProgressLine();
  const started = performance.now();
  for (const [done, file] of files.entries()) {
    const { diagnostics, rows } = await checkFile(file, index, (fraction) => {
      if (performance.now() - started < 1000) return;
      progress.update(`checking ${done + 1}/${files.length} ${file.named}  ${Math.round(100 * fraction)} %`);
    });
    document.rows += rows;
    for (const { range, severity, code, message, data } of diagnostics) {
      document.diagnostics.push({
        file: file.named,
        range,
        severity: severityName(severity),
        rule: String(code),
        message,
        fixes: (data as DiagnosticData | undefined)?.fixes.length ?? 0,
      });
    }
  }
  progress.clear();
  return document;
}

const counted = (count: number, noun: string) =>
  `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** For people: positions count from 1. */
function textOf({ diagnostics, files, rows }: CheckDocument): string {
  const lines = diagnostics.map(
    ({ file, range, severity, rule, message }) =>
      `${file}:${range.start.line + 1}:${range.start.character + 1} ${severity} ${rule} ${message}`,
  );
  const counts = (["error", "warning", "information", "hint"] as const)
    .map((severity) => ({ severity, count: diagnostics.filter((each) => each.severity === severity).length }))
    .filter(({ severity, count }) => count > 0 || severity === "error")
    .map(({ severity, count }) =>
      severity === "information" ? `${count} information` : counted(count, severity),
    );
  lines.push(`${counts.join(", ")} in ${counted(files, "file")}, ${counted(rows, "row")}`);
  return `${lines.join("\n")}\n`;
}
