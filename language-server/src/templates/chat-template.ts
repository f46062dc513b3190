/** Chat templates as `tokenizer_config.json` carries them. */

export interface NamedTemplate {
  /** `default` for the only or first choice; others are chosen by the caller, e.g. `tool_use`. */
  readonly name: string;
  readonly source: string;
}

/**
 * The templates in a `chat_template` field: one string, or a list of `{name, template}`.
 *
 * @returns the default one first; empty for anything else
 */
export function chatTemplatesOf(field: unknown): NamedTemplate[] {
  if (typeof field === "string") return [{ name: "default", source: field }];
  if (!Array.isArray(field)) return [];
  const named = field.flatMap((entry: unknown): NamedTemplate[] => {
    if (typeof entry !== "object" || entry === null) return [];
    const { name, template } = entry as { name?: unknown; template?: unknown };
    return typeof name === "string" && typeof template === "string" ? [{ name, source: template }] : [];
  });
  const isDefault = ({ name }: NamedTemplate) => name === "default";
  return [...named.filter(isDefault), ...named.filter((entry) => !isDefault(entry))];
}
