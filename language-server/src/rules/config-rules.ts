import type { ConfigFiles } from "../configs/config-files";
import { nodeAt, spanOf } from "../configs/key-path";
import { nearest } from "../configs/nearest";
import type { ConfigReading } from "../configs/read-config";
import { readConfig } from "../configs/read-config";
import { resolveTrainingPlan } from "../configs/resolve-plan";
import { shortened } from "../configs/shortened";
import type { TrainingPlan } from "../configs/training-plan";
import { resolveVocabularyPlan, type VocabularyPlan } from "../configs/vocabulary-plan";
import type { Range } from "../protocol";
import { LineIndex } from "../text/line-index";
import type { Finding } from "../text/span";
import { mergedSeverities, severityOf } from "./diagnostics";
import { ruleIds } from "./registry";
import { type RuleSeverities, severitySchema } from "./severity";
import { isSilenced, silencedLines } from "./silencing";

/** The severities in a config's `rules:`, as far as they can be read. */
export function severitiesOf(reading: ConfigReading): RuleSeverities {
  const block = reading.root && nodeAt(reading.root, ["rules"]);
  if (block?.kind !== "mapping") return {};
  const entries = block.entries.flatMap(({ key, value }) => {
    const severity = severitySchema.safeParse(value.kind === "scalar" ? value.value : undefined);
    return severity.success ? [[key, severity.data] as const] : [];
  });
  return Object.fromEntries(entries);
}

/** Rule ids in `rules:` that no rule has. */
export function ruleBlockFindings(reading: ConfigReading): Finding[] {
  const block = reading.root && nodeAt(reading.root, ["rules"]);
  if (!reading.root || block?.kind !== "mapping") return [];
  const findings: Finding[] = [];
  for (const { key } of block.entries) {
    if (ruleIds.includes(key)) continue;
    const span = spanOf(reading.root, ["rules", key], "key");
    const meant = nearest(key, ruleIds);
    findings.push({
      rule: "unknown-key",
      span,
      message: `There is no rule \`${shortened(key)}\`.${meant ? ` Did you mean \`${meant}\`?` : ""}`,
      fixes: meant ? [{ title: `Replace with \`${meant}\``, edits: [{ span, newText: meant }] }] : [],
    });
  }
  return findings;
}

/**
 * Everything that is wrong with a config: its text, its `rules:`, and the files it names.
 * @param files null when the config lies on no disk, so that its paths cannot be followed
 */
export function checkConfig(
  text: string,
  path: string,
  files: ConfigFiles | null,
): { reading: ConfigReading; plan: TrainingPlan | null; findings: Finding[] } {
  const reading = readConfig(text, path);
  const { plan, findings } =
    files === null ? { plan: null, findings: reading.findings } : resolveTrainingPlan(reading, files);
  return { reading, plan, findings: [...findings, ...ruleBlockFindings(reading)] };
}

export interface RefusedConfig {
  /** Why it cannot be run, in words for a person. */
  readonly refused: string;
  /** Where the reason stands in the config. */
  readonly range: Range;
}

export type RunnableConfig = { readonly plan: TrainingPlan; readonly text: string } | RefusedConfig;

/**
 * The plan of a training config that can be carried out, or the first error that stands in the way.
 *
 * What the engine cannot carry out is refused whatever severity it was given: silenced, it would still be left undone.
 * @param severities the settings'; the config's own `rules:` go before them
 */
export function runnableConfig(
  text: string,
  path: string,
  files: ConfigFiles,
  severities: RuleSeverities = {},
): RunnableConfig {
  const { reading, plan, findings } = checkConfig(text, path, files);
  const obstacle = obstacleIn(reading, findings, severities, plan !== null);
  if (obstacle) return obstacle;
  if (plan !== null) return { plan, text };
  if (reading.root && reading.config?.stage === "vocabulary") {
    const range = new LineIndex(text).rangeOf(spanOf(reading.root, ["stage"], "value"));
    return {
      refused: "A config of `stage: vocabulary` trains no model, so there is no training plan.",
      range,
    };
  }
  return refusedAtStart("This config leaves open what is to be done.");
}

/** As `runnableConfig`, of a config that extends a vocabulary. */
export function runnableVocabulary(
  text: string,
  path: string,
  files: ConfigFiles,
  severities: RuleSeverities = {},
): { readonly plan: VocabularyPlan } | RefusedConfig {
  const { reading, findings } = checkConfig(text, path, files);
  const plan = resolveVocabularyPlan(reading, files);
  const obstacle = obstacleIn(reading, findings, severities, plan !== null);
  if (obstacle) return obstacle;
  return plan === null ? refusedAtStart("This config leaves open what is to be done.") : { plan };
}

function obstacleIn(
  reading: ConfigReading,
  findings: readonly Finding[],
  severities: RuleSeverities,
  isPlanned: boolean,
): RefusedConfig | undefined {
  const lines = new LineIndex(reading.text);
  const merged = mergedSeverities(severities, severitiesOf(reading));
  const silenced = silencedLines(reading.text);
  const ordered = [...findings].sort((a, b) => a.span.start - b.span.start);
  const matters = ({ rule, span }: Finding) =>
    severityOf(rule, merged) === "error" && !isSilenced(silenced, lines.positionAt(span.start).line, rule);
  const stopping =
    ordered.find(matters) ??
    ordered.find(({ rule }) => rule === "not-yet-runnable") ??
    (isPlanned ? undefined : ordered[0]);
  return stopping && { refused: stopping.message, range: lines.rangeOf(stopping.span) };
}

function refusedAtStart(refused: string): RefusedConfig {
  const start = { line: 0, character: 0 };
  return { refused, range: { start, end: start } };
}
