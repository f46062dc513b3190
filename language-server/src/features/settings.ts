import { z } from "zod";
import { type RuleSeverities, severitySchema } from "../rules/severity";

/**
 * The `ziptie.*` settings as the server reads them. A value of the wrong type is as good as absent: a typo in the settings
 * must not take the server down.
 */
export const settingsSchema = z.object({
  /** Tokenizer for files that no config names: a directory or a `tokenizer.json`; relative to the workspace folder. */
  tokenizer: z.string().catch(""),
  /** Severity per rule id. */
  rules: z
    .record(z.string(), z.unknown())
    .transform((rules) => {
      const entries = Object.entries(rules).flatMap(([id, value]) => {
        const severity = severitySchema.safeParse(value);
        return severity.success ? [[id, severity.data] as const] : [];
      });
      return Object.fromEntries(entries) as RuleSeverities;
    })
    .catch({}),
  engine: z
    .object({
      /** Of `ziptie-engine`; empty: the one that came with the extension. */
      path: z.string().catch(""),
    })
    .catch({ path: "" }),
});

export type Settings = z.infer<typeof settingsSchema>;

export const defaultSettings: Settings = settingsSchema.parse({});

export function parseSettings(value: unknown): Settings {
  return settingsSchema.parse(typeof value === "object" && value !== null ? value : {});
}
