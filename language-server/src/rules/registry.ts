import type { Severity } from "./severity";

/** One lint rule. Each has a page `docs/rules/<id>.md`. */
export interface Rule {
  readonly id: string;
  readonly severity: Exclude<Severity, "off">;
  /** What it catches, in one line. */
  readonly summary: string;
}

const rule = (id: string, severity: Rule["severity"], summary: string): Rule => ({ id, severity, summary });

export const rules: readonly Rule[] = [
  // configs
  rule("yaml-syntax", "error", "The config is not YAML, or YAML of a kind that no config needs."),
  rule("unknown-key", "error", "A key that no reader reads, often a typing mistake."),
  rule("missing-key", "error", "A key that this config cannot do without."),
  rule(
    "duplicate-key",
    "error",
    "The same key twice, in a config or a row; readers take one and say nothing.",
  ),
  rule("wrong-value-type", "error", "A value of another type than the key, or the field of a row, takes."),
  rule("unknown-value", "error", "A value that is not among those the key takes."),
  rule("value-out-of-range", "error", "A number that is too small, too large, or not whole."),
  rule("yaml-float-string", "error", "A number that YAML readers pass on as a text."),
  rule("warmup-unit", "error", "Warm-up steps given as a share, or a share given as steps."),
  rule("warmup-zero-step", "warning", "A warm-up that does not end within the run."),
  rule("incompatible-options", "error", "Keys that exclude each other, or of which one is ignored."),
  rule("not-yet-runnable", "error", "A right key or value that the engine cannot carry out yet."),
  rule("tokenizer-model-vocab", "error", "A tokenizer with more tokens than the model has rows for."),
  rule("tied-embeddings-adapted", "warning", "One end of tied embeddings named, which trains the other too."),
  rule("path-not-found", "error", "A model, tokenizer, template or dataset that is not there."),
  // files of rows
  rule("json-syntax", "error", "A row, or the file, is not JSON."),
  rule("utf8-bom", "warning", "A byte order mark that JSON readers stumble over."),
  rule("invalid-utf8", "error", "Bytes that are not UTF-8; readers stop there or replace them."),
  rule("lone-surrogate", "error", "Half of a surrogate pair, which no tokenizer can encode."),
  rule("blank-line", "warning", "An empty line between rows."),
  // rows
  rule("missing-field", "error", "A row without a field that its format needs."),
  rule("inconsistent-fields", "warning", "Rows of one file that differ in fields or formats."),
  rule("unknown-role", "error", "A role that no chat template knows."),
  rule("role-alternation", "error", "Two turns of the same side in a row."),
  rule("system-not-first", "error", "A system turn that is not the first."),
  rule("empty-turn", "warning", "A turn without content."),
  rule("last-turn-not-assistant", "warning", "A conversation that ends without an answer to learn."),
  rule("length-over-limit", "warning", "A row too long to be looked at, or to be trained on whole."),
  // templates
  rule("template-syntax", "error", "A chat template that does not parse."),
  rule("template-unsupported", "error", "A chat template that uses what Hugging Face's renderer lacks."),
  rule(
    "template-prefix-unstable",
    "warning",
    "Rendering n turns does not give the beginning of n + 1 turns.",
  ),
  // checking itself
  rule("time-limit", "warning", "Checking a file took too long and was given up."),
];

const byId = new Map(rules.map((entry) => [entry.id, entry]));

export function ruleById(id: string): Rule | undefined {
  return byId.get(id);
}

export const ruleIds: readonly string[] = rules.map(({ id }) => id);

/** The page of a rule, as a diagnostic's code links to it; the editor opens it in the extension's own viewer. */
export function rulePage(id: string): string {
  return `ziptie://rules/${id}`;
}
