import { type CodeAction, CodeActionKind, type Diagnostic } from "vscode-languageserver";
import type { DiagnosticData } from "../rules/diagnostics";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";

/** The repairs that a finding brought along, and silencing it where the format has comments. */
export function register({ connection, documents }: ServerContext): void {
  connection.onCodeAction(({ textDocument, context }): CodeAction[] => {
    const document = documents.get(textDocument.uri);
    if (!document) return [];
    const { uri } = document;
    const isConfig = kindOf(document) === "training-config";
    return context.diagnostics
      .filter(({ source }) => source === "ziptie")
      .flatMap((diagnostic) => {
        const actions = fixesOf(diagnostic).map(
          ({ title, edits }, index): CodeAction => ({
            title,
            kind: CodeActionKind.QuickFix,
            diagnostics: [diagnostic],
            isPreferred: index === 0,
            edit: { changes: { [uri]: [...edits] } },
          }),
        );
        const line = document.getText({
          start: { line: diagnostic.range.start.line, character: 0 },
          end: { line: diagnostic.range.start.line + 1, character: 0 },
        });
        if (isConfig && !line.includes("ziptie-ignore")) {
          const end = line.replace(/[\r\n]+$/, "").length;
          const at = { line: diagnostic.range.start.line, character: end };
          actions.push({
            title: `Silence \`${diagnostic.code}\` on this line`,
            kind: CodeActionKind.QuickFix,
            diagnostics: [diagnostic],
            edit: {
              changes: {
                [uri]: [{ range: { start: at, end: at }, newText: ` # ziptie-ignore ${diagnostic.code}` }],
              },
            },
          });
        }
        return actions;
      });
  });
}

function fixesOf({ data }: Diagnostic): DiagnosticData["fixes"] {
  const fixes = (data as Partial<DiagnosticData> | undefined)?.fixes;
  return Array.isArray(fixes) ? fixes : [];
}
