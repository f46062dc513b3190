import { type Diagnostic, DiagnosticSeverity, DiagnosticTag } from "vscode-languageserver";
import type { Range } from "../protocol";
import type { LineIndex } from "../text/line-index";
import type { Finding } from "../text/span";
import { ruleById, rulePage } from "./registry";
import type { RuleSeverities, Severity } from "./severity";
import { isSilenced, type SilencedLines, silencedLines } from "./silencing";

/** A repair as it travels in a diagnostic's `data`, from the check to the light bulb. */
export interface DiagnosticFix {
  readonly title: string;
  readonly edits: readonly { range: Range; newText: string }[];
}

export interface DiagnosticData {
  readonly fixes: readonly DiagnosticFix[];
}

const lspSeverity = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  information: DiagnosticSeverity.Information,
  hint: DiagnosticSeverity.Hint,
} as const;

/** How much a rule matters here: what the settings or the config say, else its own severity. */
export function severityOf(rule: string, severities: RuleSeverities): Severity {
  const chosen = Object.hasOwn(severities, rule) ? severities[rule] : undefined;
  return chosen ?? ruleById(rule)?.severity ?? "error";
}

/** Later ones win: settings first, then the config's `rules:`. */
export function mergedSeverities(...layers: readonly RuleSeverities[]): RuleSeverities {
  return Object.assign({}, ...layers) as RuleSeverities;
}

/**
 * Gives findings their severity and LSP's shape, in document order, without those that are silenced.
 * @param lines where the findings' spans stand
 * @param text where comments can silence a line; null for a format without comments
 */
export function toDiagnostics(
  findings: readonly Finding[],
  lines: Pick<LineIndex, "text" | "rangeOf">,
  severities: RuleSeverities,
  text: string | null = lines.text,
): Diagnostic[] {
  const silenced: SilencedLines = text === null ? new Map() : silencedLines(text);
  const diagnostics: Diagnostic[] = [];
  for (const finding of findings) {
    const severity = severityOf(finding.rule, severities);
    if (severity === "off") continue;
    const range = lines.rangeOf(finding.span);
    if (isSilenced(silenced, range.start.line, finding.rule)) continue;
    const fixes = (finding.fixes ?? []).map(({ title, edits }) => ({
      title,
      edits: edits.map(({ span, newText }) => ({ range: lines.rangeOf(span), newText })),
    }));
    diagnostics.push({
      range,
      severity: lspSeverity[severity],
      code: finding.rule,
      codeDescription: { href: rulePage(finding.rule) },
      source: "ziptie",
      message: finding.message,
      ...(finding.rule === "blank-line" ? { tags: [DiagnosticTag.Unnecessary] } : {}),
      ...(fixes.length > 0 ? { data: { fixes } satisfies DiagnosticData } : {}),
    });
  }
  return diagnostics.sort(
    (a, b) => a.range.start.line - b.range.start.line || a.range.start.character - b.range.start.character,
  );
}

const names = ["error", "warning", "information", "hint"] as const;

/** LSP's number as `ziptie check` prints it. */
export function severityName(severity: DiagnosticSeverity | undefined): (typeof names)[number] {
  return names[(severity ?? DiagnosticSeverity.Error) - 1] ?? "error";
}
