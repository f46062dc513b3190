import type { DatasetSource, TrainingPlan } from "../configs/training-plan";
import type { Example } from "../datasets/conversation";
import { type DatasetFormat, detectFormat, sampledRows } from "../datasets/format";
import { readExample } from "../datasets/read-example";
import type { JsonNode } from "../documents/json-tree";
import { type StreamedRow, streamRows, UnreadableDatasetError } from "../documents/row-stream";
import { TemplateRenderError } from "../templates/template-error";
import { type EncodedExample, encodeExample, encodeExamples } from "../tokenizers/example";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import type { DataSummary, DroppedRows, DropReason } from "./data-summary";
import type { TrainingInputs } from "./inputs";
import { pacer, type Reporter } from "./progress";
import { Refused } from "./refused";
import { PackCounter, type ShardWriter } from "./shards";

/** What decides which tokens of a row are trained on, and which rows together. */
type EncodedAs = Pick<TrainingPlan, "max_length" | "truncation" | "packing">;

/**
 * Tokenises a dataset just as the token preview does. Rows that are of no use are counted by reason.
 * @param writer gets every row that is used, whole: the engine cuts those over `max_length`; null only counts
 * @throws Refused when the dataset cannot be read at all; AbortError
 */
export async function encodeDataset(
  source: DatasetSource,
  plan: EncodedAs,
  inputs: Pick<TrainingInputs, "tokenizer" | "template">,
  writer: ShardWriter | null,
  report: Reporter,
  signal: AbortSignal,
): Promise<DataSummary> {
  const name = source.path.slice(source.path.lastIndexOf("/") + 1);
  const format = source.format ?? (await formatOf(source.path, signal));
  const counter = new Counter(source, plan);
  const pace = pacer(signal);
  const isEnough = () => counter.summary.rows_used === source.sample;
  let batch: (Unusable | ReadableRow)[] = [];
  const encodeBatch = async () => {
    for (const row of await encodeRows(batch, inputs)) {
      if (isEnough()) break;
      if ("reason" in row) counter.drop(row.reason, row.number, row.message);
      else if (counter.use(row)) await writer?.add(row.encoded.ids, row.encoded.lossMask);
    }
    batch = [];
  };
  for await (const row of datasetRows(source.path, signal)) {
    if (isEnough()) break;
    await pace();
    batch.push(readRow(row, format, inputs.template !== null));
    if (batch.length < rowsAtOnce) continue;
    await encodeBatch();
    report({ message: `Tokenizing ${name}`, fraction: row.fraction });
  }
  await encodeBatch();
  report({ message: `Tokenizing ${name}`, fraction: 1 });
  return counter.finish();
}

/** The tokenizer works on so many rows on all cores. */
const rowsAtOnce = 64;

interface DatasetRow extends StreamedRow {
  /** Counted from 1. */
  number: number;
  /** How much of the file has been read, 0 to 1. */
  fraction: number;
}

/** @throws Refused when the file cannot be read */
async function* datasetRows(path: string, signal: AbortSignal): AsyncGenerator<DatasetRow, void, undefined> {
  let number = 0;
  let [before, read, total] = [0, 0, 1];
  const onProgress = (now: number, size: number) => {
    [before, read, total] = [read, now, size];
  };
  try {
    for await (const streamed of streamRows(path, { signal, onProgress })) {
      const { row, text } = streamed;
      const within = (read - before) * (row.next / Math.max(1, text.length));
      if (row.kind === "row") yield { ...streamed, number: ++number, fraction: (before + within) / total };
    }
  } catch (error) {
    if (error instanceof UnreadableDatasetError) throw new Refused(error.message);
    if (signal.aborted || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new Refused(`The dataset ${path} cannot be read: ${(error as Error).message}`);
  }
}

/** The format that most of the first rows have. @throws Refused when they have none; AbortError */
export async function formatOf(path: string, signal: AbortSignal): Promise<DatasetFormat> {
  return formatOfRows(await firstRows(path, signal), path);
}

/** Whether any of the first rows is a conversation, which training renders by the template. @throws Refused; AbortError */
export async function holdsConversations(path: string, signal: AbortSignal): Promise<boolean> {
  const rows = await firstRows(path, signal);
  const format = formatOfRows(rows, path);
  return rows.some((row) => readExample(row, format).example?.kind === "conversation");
}

async function firstRows(path: string, signal: AbortSignal): Promise<JsonNode[]> {
  const nodes: JsonNode[] = [];
  for await (const { row } of datasetRows(path, signal)) {
    if (row.node !== undefined) nodes.push(row.node);
    if (nodes.length === sampledRows) break;
  }
  return nodes;
}

/** @param path for messages. @throws Refused */
function formatOfRows(nodes: readonly JsonNode[], path: string): DatasetFormat {
  if (nodes.length === 0) throw new Refused(`There is no row in ${path} that can be read.`);
  const format = detectFormat(nodes);
  if (format === undefined) {
    throw new Refused(
      `The format of ${path} is not one that is known. Its rows need the fields of messages, alpaca, sharegpt, prompt-completion or text.`,
    );
  }
  return format;
}

interface ReadableRow {
  number: number;
  example: Example;
}

interface Unusable {
  number: number;
  reason: DropReason;
  message: string;
}

function readRow(
  { row, findings: streamed, number }: DatasetRow,
  format: DatasetFormat,
  hasTemplate: boolean,
): Unusable | ReadableRow {
  const broken = (message = "It cannot be read."): Unusable => ({ number, reason: "broken", message });
  if (row.node === undefined) return broken(streamed[0]?.message);
  const damaged = streamed.find(({ rule }) => rule === "invalid-utf8" || rule === "lone-surrogate");
  if (damaged !== undefined) return broken(damaged.message);
  const { example, findings, unsupported } = readExample(row.node, format);
  if (example === undefined) {
    return broken(
      unsupported === undefined ? findings[0]?.message : `It has ${unsupported}, which cannot be trained on.`,
    );
  }
  if (example.kind === "conversation" && !hasTemplate) {
    return broken('It is a conversation, but stage pretrain trains on plain text: `{"text": …}`.');
  }
  return { number, example };
}

interface EncodedRow {
  number: number;
  kind: Example["kind"];
  encoded: EncodedExample;
}

/** The same rows in the same order. */
async function encodeRows(
  rows: readonly (Unusable | ReadableRow)[],
  { tokenizer, template }: Pick<TrainingInputs, "tokenizer" | "template">,
): Promise<(Unusable | EncodedRow)[]> {
  const readable = rows.filter((row) => "example" in row);
  const examples = readable.map(({ example }) => example);
  let encoded: (EncodedExample | TemplateRenderError | TokenizerError)[];
  try {
    encoded = await encodeExamples(examples, template, tokenizer);
  } catch (error) {
    if (!(error instanceof TokenizerError)) throw error;
    // One text that the vocabulary cannot express spoils the whole batch; one by one, it is found.
    encoded = await Promise.all(
      examples.map((example) => encodeExample(example, template, tokenizer).catch(rowError)),
    );
  }
  let next = 0;
  return rows.map((row) => {
    if ("reason" in row) return row;
    const { number, example } = row;
    const result = encoded[next++] as (typeof encoded)[number];
    if (result instanceof TemplateRenderError) return { number, reason: "template", message: result.message };
    if (result instanceof TokenizerError) return { number, reason: "tokenizer", message: result.message };
    return { number, kind: example.kind, encoded: result };
  });
}

/** An error that is one row's alone. */
function rowError(error: unknown): TemplateRenderError | TokenizerError {
  if (error instanceof TemplateRenderError || error instanceof TokenizerError) return error;
  throw error;
}

/** Adds up what a dataset comes to. */
class Counter {
  readonly summary: DataSummary;
  readonly #dropped = new Map<DropReason, DroppedRows>();
  readonly #packs: PackCounter | null;
  readonly #lengths = new Map<number, number>();

  constructor(
    source: DatasetSource,
    private readonly plan: EncodedAs,
  ) {
    this.#packs = plan.packing ? new PackCounter(plan.max_length) : null;
    this.summary = {
      path: source.path,
      weight: source.weight,
      rows: 0,
      rows_used: 0,
      conversations: 0,
      packs: 0,
      rows_cut: 0,
      tokens: 0,
      supervised_tokens: 0,
      longest: 0,
      lengths: [],
      dropped: [],
    };
  }

  /** @returns false when the row is of no use after all */
  use({ number: row, kind, encoded: { ids, lossMask } }: EncodedRow): boolean {
    const { max_length, truncation } = this.plan;
    const whole = supervised(lossMask, ids.length);
    if (whole === 0) {
      this.drop("unsupervised", row, `none of its ${ids.length} tokens carries loss`);
      return false;
    }
    const isLong = ids.length > max_length;
    if (isLong && truncation === "drop") {
      this.drop("too-long", row, `it has ${ids.length} tokens, max_length is ${max_length}`);
      return false;
    }
    const length = Math.min(ids.length, max_length);
    const kept = isLong ? supervised(lossMask, length) : whole;
    if (kept === 0) {
      this.drop(
        "unsupervised-after-cut",
        row,
        `it has ${ids.length} tokens, and none of the first ${max_length} carries loss`,
      );
      return false;
    }
    const { summary } = this;
    summary.rows++;
    summary.rows_used++;
    if (kind === "conversation") summary.conversations++;
    if (isLong) summary.rows_cut++;
    summary.tokens += length;
    summary.supervised_tokens += kept;
    summary.longest = Math.max(summary.longest, length);
    this.#packs?.add(ids.length);
    this.#lengths.set(length, (this.#lengths.get(length) ?? 0) + 1);
    return true;
  }

  finish(): DataSummary {
    this.summary.lengths = [...this.#lengths];
    this.summary.packs = this.#packs?.finish() ?? this.summary.rows_used;
    return this.summary;
  }

  drop(reason: DropReason, row: number, message: string): void {
    this.summary.rows++;
    const dropped = this.#dropped.get(reason);
    if (dropped !== undefined) {
      dropped.rows++;
      return;
    }
    const first = { reason, rows: 1, first: { row, message } };
    this.#dropped.set(reason, first);
    this.summary.dropped.push(first);
  }
}

/** Tokens that are predicted with loss; the first of a row is never predicted. */
function supervised(lossMask: Uint8Array, length: number): number {
  let count = 0;
  for (let t = 1; t < length; t++) count += lossMask[t] ?? 0;
  return count;
}
