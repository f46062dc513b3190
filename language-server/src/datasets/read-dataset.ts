import { type RowStreamOptions, type StreamedRow, streamRows } from "../documents/row-stream";
import type { Range } from "../protocol";
import { LineIndex } from "../text/line-index";
import type { Finding } from "../text/span";
import { columnsOf, DatasetProfile } from "./columns";
import { type DatasetFormat, rowFormat, sampledRows } from "./format";
import { type ReadRow, readExample } from "./read-example";

export interface DatasetReadOptions extends RowStreamOptions {
  /** The format that a config gives; default: detected from the first rows. */
  format?: DatasetFormat | undefined;
}

/** A row of a dataset file, or what stands between or around rows and has findings. */
export interface DatasetRow extends ReadRow {
  /** Counts rows from 0; undefined where no row stands (a blank line, the end of an array). */
  readonly index: number | undefined;
  /** Where the row stands in the file. */
  readonly range: Range;
  /** The file's format; undefined when it is not known. */
  readonly format: DatasetFormat | undefined;
  /** What the example's spans and the findings' spans point into: the row's surroundings, not the whole file. */
  readonly text: string;
  /** The file's range of a span of `text`. */
  rangeOf(span: { start: number; end: number }): Range;
}

/**
 * Reads a dataset file of any size, row by row, and checks it as `DatasetChecker` does, without keeping it: what a
 * trainer and the terminal use. Nothing is summarised.
 *
 * @throws as `streamRows` does
 */
export async function* readDataset(
  path: string,
  options: DatasetReadOptions = {},
): AsyncGenerator<DatasetRow, void, undefined> {
  const held: StreamedRow[] = [];
  let parsed = 0;
  let index = 0;
  const ranges = new RangeFinder();
  let profile: DatasetProfile | undefined;
  const settle = (): DatasetProfile => {
    const nodes = held.flatMap(({ row }) => (row.node ? [row.node] : []));
    return new DatasetProfile(
      nodes.map((node) => ({ format: rowFormat(node), columns: columnsOf(node) })),
      options.format,
    );
  };
  const finish = (streamed: StreamedRow, known: DatasetProfile): DatasetRow =>
    judged(streamed, known, streamed.row.kind === "row" ? index++ : undefined, ranges);
  for await (const streamed of streamRows(path, options)) {
    if (profile) {
      yield finish(streamed, profile);
      continue;
    }
    held.push(streamed);
    if (streamed.row.node && ++parsed === sampledRows) {
      profile = settle();
      for (const waiting of held.splice(0)) yield finish(waiting, profile);
    }
  }
  if (!profile) {
    profile = settle();
    for (const waiting of held) yield finish(waiting, profile);
  }
}

function judged(
  streamed: StreamedRow,
  profile: DatasetProfile,
  index: number | undefined,
  ranges: RangeFinder,
): DatasetRow {
  const { row, text, firstLine } = streamed;
  const rangeOf = (span: { start: number; end: number }): Range => ranges.rangeOf(text, firstLine, span);
  const place = { index, range: rangeOf(row), format: profile.format, text, rangeOf };
  if (!row.node) return { ...place, findings: streamed.findings };
  if (profile.format === undefined) {
    return { ...place, findings: streamed.findings, unsupported: "rows of an unknown format" };
  }
  const { example, unsupported, findings: own } = readExample(row.node, profile.format);
  const findings: Finding[] = [...streamed.findings, ...own];
  profile.judge(row.node, columnsOf(row.node), findings);
  findings.sort((a, b) => a.span.start - b.span.start);
  return {
    ...place,
    findings,
    ...(example && { example }),
    ...(unsupported !== undefined && { unsupported }),
  };
}

/** Ranges in a file that comes in blocks of text; keeps the line index of the last block. */
class RangeFinder {
  #index = new LineIndex("");

  rangeOf(text: string, firstLine: number, span: { start: number; end: number }): Range {
    if (this.#index.text !== text) this.#index = new LineIndex(text);
    const { start, end } = this.#index.rangeOf(span);
    return {
      start: { line: start.line + firstLine, character: start.character },
      end: { line: end.line + firstLine, character: end.character },
    };
  }
}
