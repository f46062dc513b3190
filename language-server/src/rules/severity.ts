import { z } from "zod";

export const severitySchema = z.enum(["error", "warning", "information", "hint", "off"]);

/** How much a rule's findings matter; `off` silences it. */
export type Severity = z.infer<typeof severitySchema>;

/** Severities that differ from a rule's own, by rule id. */
export type RuleSeverities = Readonly<Record<string, Severity>>;
