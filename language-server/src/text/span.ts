/** A half-open range `[start, end)` of UTF-16 offsets into one text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A replacement of `span` by `newText`, in the text the span belongs to. */
export interface SpanEdit {
  readonly span: Span;
  readonly newText: string;
}

/** A mechanical repair of a finding. */
export interface FindingFix {
  /** What the light bulb says, in the imperative: "Replace with `max_length`". */
  readonly title: string;
  readonly edits: readonly SpanEdit[];
}

/**
 * Something wrong at one place of one text, before it has a severity.
 *
 * Rooms that read a text (`datasets/`, `templates/`, `configs/`) produce findings; `rules/` knows each rule id,
 * gives it a severity and turns the finding into a diagnostic.
 */
export interface Finding {
  /** Id of the rule in `rules/`, e.g. `unknown-role`. */
  readonly rule: string;
  /** The smallest span that is wrong. */
  readonly span: Span;
  /** What was found, and what to do, in one or two sentences. */
  readonly message: string;
  readonly fixes?: readonly FindingFix[];
}
