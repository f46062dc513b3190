/**
 * `# ziptie-ignore rule-id …` silences these rules on its own line or, standing alone, on the next line;
 * without a rule id, every rule. In a Jinja template the same words stand in `{# … #}`. JSON has no comments: a dataset's
 * rules are silenced in the config's `rules:`.
 */
const mark = /(?:#|\{#-?)\s*ziptie-ignore\b([ \t,a-z0-9-]*)/;

/** Rule ids that are silenced, by line from 0; an empty set silences every rule there. */
export type SilencedLines = ReadonlyMap<number, ReadonlySet<string>>;

export function silencedLines(text: string): SilencedLines {
  const silenced = new Map<number, Set<string>>();
  if (!text.includes("ziptie-ignore")) return silenced;
  for (const [index, line] of text.split(/\r\n|\n|\r/).entries()) {
    const match = mark.exec(line);
    if (!match) continue;
    const ids = new Set((match[1] ?? "").split(/[\s,]+/).filter((word) => /^[a-z]/.test(word)));
    const alone = line.slice(0, match.index).trim() === "";
    silenced.set(alone ? index + 1 : index, ids);
  }
  return silenced;
}

export function isSilenced(silenced: SilencedLines, line: number, rule: string): boolean {
  const ids = silenced.get(line);
  return ids !== undefined && (ids.size === 0 || ids.has(rule));
}
