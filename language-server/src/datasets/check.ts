import { type JsonRow, RowReader } from "../documents/json-rows";
import { commonEnds } from "../text/common-ends";
import type { Finding, Span } from "../text/span";
import { columnsOf, DatasetProfile, type RowTraits } from "./columns";
import { type DatasetFormat, rowFormat, sampledRows } from "./format";
import { type ReadRow, readExample } from "./read-example";

export interface DatasetCheckOptions {
  /** The format that a config gives; default: detected from the first rows. */
  format?: DatasetFormat;
  /**
   * How many findings of one rule are given; one more then says how many are left out. A file with the same mistake in
   * every row is one mistake, and editors choke on 100,000 squiggles. `Infinity` (the terminal's choice) gives all.
   */
  findingsPerRule?: number;
}

export const defaultFindingsPerRule = 100;

/** A row of the checked text; spans are those of the text. */
export interface CheckedRow extends ReadRow {
  /** Counts rows from 0; blank lines are none. */
  readonly index: number;
  readonly span: Span;
}

/**
 * What is kept of a row that was read: where it stands and what is wrong, not its values. A class and no literal: a
 * file has a hundred thousand, and every edit passes over them.
 */
class Entry implements RowTraits {
  /** `start` when the findings were made. */
  readonly base: number;

  constructor(
    readonly kind: JsonRow["kind"],
    /** Where reading began, and where the next entry's begins. */
    public at: number,
    public next: number,
    public start: number,
    public end: number,
    readonly parsed: boolean,
    readonly format: DatasetFormat | undefined,
    readonly columns: string,
    readonly findings: readonly Finding[],
  ) {
    this.base = start;
  }

  move(delta: number): void {
    this.at += delta;
    this.next += delta;
    this.start += delta;
    this.end += delta;
  }
}

/**
 * Checks a dataset as it is edited: a change costs what the changed rows cost, plus one pass over the row table.
 *
 * The findings are always exactly those of a fresh checker for the same text.
 */
export class DatasetChecker {
  readonly #forced: DatasetFormat | undefined;
  readonly #findingsPerRule: number;
  #reader = new RowReader("");
  #profile = new DatasetProfile([]);
  #entries: Entry[] = [];
  #rows: Entry[] | undefined;

  constructor(text = "", options: DatasetCheckOptions = {}) {
    this.#forced = options.format;
    this.#findingsPerRule = options.findingsPerRule ?? defaultFindingsPerRule;
    this.#readAll(new RowReader(text));
  }

  get text(): string {
    return this.#reader.text;
  }

  /** The file's format; undefined when its rows have none that is known. */
  get format(): DatasetFormat | undefined {
    return this.#profile.format;
  }

  get rowCount(): number {
    return this.#rowTable().length;
  }

  /** Takes the document's new text, whatever has changed in it. */
  update(text: string): void {
    const { prefix, suffix } = commonEnds(this.text, text);
    this.#change(text, prefix, suffix);
  }

  /** Replaces a span of the text; spares `update` the search for what has changed. */
  applyEdit(span: Span, newText: string): void {
    const { text } = this;
    this.#change(
      text.slice(0, span.start) + newText + text.slice(span.end),
      span.start,
      text.length - span.end,
    );
  }

  /** Everything wrong with the text, in its order. */
  findings(): Finding[] {
    const found: Finding[] = [...this.#reader.findings];
    for (const entry of this.#entries) {
      if (entry.findings.length === 0) continue;
      const delta = entry.start - entry.base;
      for (const finding of entry.findings) found.push(delta === 0 ? finding : shifted(finding, delta));
    }
    return capped(found, this.#findingsPerRule);
  }

  /** Index of the row that an offset stands in or right after; undefined between rows. */
  rowAt(offset: number): number | undefined {
    const rows = this.#rowTable();
    const index = lastIndexAtOrBelow(rows, offset, ({ start }) => start);
    const row = rows[index];
    return row && offset <= row.end ? index : undefined;
  }

  /** Where a row stands, without white space around it. */
  rowSpan(index: number): Span {
    const { start, end } = this.#row(index);
    return { start, end };
  }

  /** Reads a row again, with its example. */
  row(index: number): CheckedRow {
    const entry = this.#row(index);
    const read = this.#reader.read(entry.at);
    const span = { start: entry.start, end: entry.end };
    const findings = entry.findings.map((finding) => shifted(finding, entry.start - entry.base));
    if (!read?.node) return { index, span, findings };
    if (this.format === undefined) return { index, span, findings, unsupported: "rows of an unknown format" };
    const { example, unsupported } = readExample(read.node, this.format);
    return {
      index,
      span,
      findings,
      ...(example && { example }),
      ...(unsupported !== undefined && { unsupported }),
    };
  }

  #row(index: number): Entry {
    const entry = this.#rowTable()[index];
    if (!entry) throw new RangeError(`Row ${index} of ${this.rowCount}.`);
    return entry;
  }

  #rowTable(): Entry[] {
    this.#rows ??= this.#entries.filter(({ kind }) => kind === "row");
    return this.#rows;
  }

  #readAll(reader: RowReader): void {
    this.#reader = reader;
    this.#rows = undefined;
    this.#profile = new DatasetProfile(traitsOf(reader), this.#forced);
    this.#entries = [];
    this.#readFrom(reader.start, this.#entries, () => false);
  }

  #change(text: string, prefix: number, suffix: number): void {
    const old = this.#entries;
    const oldLength = this.text.length;
    const reader = new RowReader(text);
    if (reader.signature !== this.#reader.signature) {
      this.#readAll(reader);
      return;
    }
    // An entry was read with a look at the beginning of the one after it: of those wholly before the change, the
    // last may have to be read again.
    const unchanged = lastIndexAtOrBelow(old, prefix, ({ next }) => next) + 1;
    const entries = old.slice(0, Math.max(0, unchanged - 1));
    const delta = text.length - oldLength;
    // After the change, the first old entry that begins where one begins now; what closes an array looks back.
    let candidate = lastIndexAtOrBelow(old, oldLength - suffix - 1, ({ at }) => at) + 1;
    this.#reader = reader;
    this.#rows = undefined;
    this.#readFrom(entries.at(-1)?.next ?? reader.start, entries, (at) => {
      while ((old[candidate]?.at ?? Number.POSITIVE_INFINITY) + delta < at) candidate++;
      return (old[candidate]?.at ?? Number.NaN) + delta === at && old[candidate]?.kind !== "end";
    });
    for (let index = candidate; !this.#ended && index < old.length; index++) {
      const entry = old[index];
      if (!entry) break;
      entry.move(delta);
      entries.push(entry);
    }
    this.#entries = entries;
    const profile = new DatasetProfile(sampleOf(entries), this.#forced);
    if (profile.signature !== this.#profile.signature) this.#readAll(reader);
  }

  /** Whether the last `#readFrom` came to the text's end. */
  #ended = false;

  /** Reads entries from `at` on until the text ends or `stop` says so. */
  #readFrom(from: number, entries: Entry[], stop: (at: number) => boolean): void {
    this.#ended = false;
    let at = from;
    while (!stop(at)) {
      const row = this.#reader.read(at);
      if (!row) {
        this.#ended = true;
        return;
      }
      entries.push(this.#judge(row, at));
      if (row.kind === "end") {
        this.#ended = true;
        return;
      }
      at = row.next;
    }
  }

  #judge(row: JsonRow, at: number): Entry {
    const { start, end, next, kind, node } = row;
    if (!node) return new Entry(kind, at, next, start, end, false, undefined, "", detached(row.findings));
    const columns = this.#shared(columnsOf(node));
    let findings = row.findings;
    if (this.format !== undefined) {
      const found = [...findings, ...readExample(node, this.format).findings];
      this.#profile.judge(node, columns, found);
      if (found.length > 0) findings = found.sort((a, b) => a.span.start - b.span.start);
    }
    return new Entry(kind, at, next, start, end, true, rowFormat(node), columns, detached(findings));
  }

  /** One copy of equal columns for all rows: comparing them is then comparing pointers. */
  #shared(columns: string): string {
    const known = this.#columns.get(columns);
    if (known !== undefined) return known;
    if (this.#columns.size > 10_000) this.#columns.clear();
    this.#columns.set(columns, columns);
    return columns;
  }
  readonly #columns = new Map<string, string>();
}

/** A copy whose strings are their own: a message that quotes the text must not keep a version of 5 MB alive. */
function detached(findings: readonly Finding[]): readonly Finding[] {
  return findings.length === 0 ? none : (JSON.parse(JSON.stringify(findings)) as Finding[]);
}

const none: readonly Finding[] = [];

function* traitsOf(reader: RowReader): Generator<RowTraits> {
  for (const { node } of reader.rows()) if (node) yield { format: rowFormat(node), columns: columnsOf(node) };
}

function* sampleOf(entries: readonly Entry[]): Generator<RowTraits> {
  let left = sampledRows;
  for (const entry of entries) {
    if (!entry.parsed) continue;
    if (left-- === 0) return;
    yield entry;
  }
}

/** Index of the last item whose key is at most `value`; -1 when there is none. Keys ascend. */
function lastIndexAtOrBelow<T>(items: readonly T[], value: number, key: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && key(item) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A finding of a text in which everything stands `delta` further. */
export function shifted(finding: Finding, delta: number): Finding {
  const move = (span: Span): Span => ({ start: span.start + delta, end: span.end + delta });
  const fixes = finding.fixes?.map(({ title, edits }) => ({
    title,
    edits: edits.map(({ span, newText }) => ({ span: move(span), newText })),
  }));
  return { ...finding, span: move(finding.span), ...(fixes && { fixes }) };
}

/** At most `limit` findings of each rule, and for each rule that had more, the next one with the number left out. */
function capped(findings: Finding[], limit: number): Finding[] {
  const counts = new Map<string, number>();
  for (const { rule } of findings) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  if ([...counts.values()].every((count) => count <= limit + 1)) return findings;
  const given = new Map<string, number>();
  const kept: Finding[] = [];
  for (const finding of findings) {
    const number = (given.get(finding.rule) ?? 0) + 1;
    given.set(finding.rule, number);
    const left = (counts.get(finding.rule) ?? 0) - limit;
    if (number <= limit || left === 1) kept.push(finding);
    else if (number === limit + 1) {
      kept.push({
        ...finding,
        message: `${finding.message} (And ${(left - 1).toLocaleString("en")} more of \`${finding.rule}\` in this file; \`ziptie check\` lists all.)`,
      });
    }
  }
  return kept;
}
