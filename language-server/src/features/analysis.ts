import { readFile } from "node:fs/promises";
import {
  type CancellationToken,
  type Diagnostic,
  LSPErrorCodes,
  type MessageConnection,
  type Range,
  ResponseError,
} from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";
import { diskFiles } from "../configs/config-files";
import type { DatasetFormatName } from "../configs/training-plan";
import { DatasetChecker } from "../datasets/check";
import type { DocumentKind } from "../documents/kind";
import type { RowTokens, TokenizerChoice, TokensAt } from "../protocol";
import { runnableConfig } from "../rules/config-rules";
import { toDiagnostics } from "../rules/diagnostics";
import type { RuleSeverities } from "../rules/severity";
import { checkTemplate, loadBuiltInTemplate, loadTemplate, type Template } from "../templates/template";
import { isTemplateError } from "../templates/template-error";
import { LineIndex } from "../text/line-index";
import { type EncodedExample, encodeExample } from "../tokenizers/example";
import { documentPlaces, rowTokens } from "../tokenizers/row-tokens";
import { type LoadedTokenizer, loadTokenizer } from "../tokenizers/tokenizer";
import { TokenizerError } from "../tokenizers/tokenizer-error";
import { planTraining } from "../training/prepare";
import { Refused } from "../training/refused";
import {
  type CheckedDocument,
  changeNotification,
  checkRequest,
  closeNotification,
  type EncodingSetup,
  openNotification,
  planRequest,
  type RowCounts,
  renderingNotification,
  rowCountsRequest,
  rowTokensAtRequest,
  rowTokensRequest,
} from "./analysis-protocol";
import { toComparedToken } from "./comparison/compared-token";

/** Why a row cannot be shown as tokens, for a person. */
class NoTokens extends Error {
  override readonly name = "NoTokens";
}

/** The worker's side: keeps the open texts and does with them what takes time. */
export function serveAnalysis(connection: MessageConnection): void {
  const texts = new Map<string, OpenText>();
  const rendering = async <T>(template: string, render: () => Promise<T>): Promise<T> => {
    void connection.sendNotification(renderingNotification, { rendering: true, template });
    try {
      return await render();
    } finally {
      void connection.sendNotification(renderingNotification, { rendering: false, template });
    }
  };

  connection.onNotification(openNotification, ({ uri, kind, version, text }) => {
    texts.set(uri, new OpenText(TextDocument.create(uri, "", version, text), kind));
  });
  connection.onNotification(changeNotification, ({ uri, version, changes }) => {
    texts.get(uri)?.edit([...changes], version);
  });
  connection.onNotification(closeNotification, ({ uri }) => {
    texts.delete(uri);
  });

  connection.onRequest(checkRequest, async ({ uri, severities, format }): Promise<CheckedDocument | null> => {
    const text = texts.get(uri);
    if (!text) return null;
    const { version } = text.document;
    if (text.kind === "template") {
      const diagnostics = await rendering(uri, async () => text.checkTemplate(severities));
      return { version, diagnostics, rows: 0 };
    }
    return { version, ...text.checkRows(severities, format) };
  });

  connection.onRequest(
    rowTokensRequest,
    async ({ uri, position, setup }): Promise<RowTokens | { refused: string }> =>
      refusing(async () => {
        const text = texts.get(uri);
        if (!text) throw new NoTokens("The file is not open.");
        const offset = text.document.offsetAt(position);
        const checker = text.checker(setup.format);
        const row = checker.rowAt(offset);
        if (row === undefined)
          throw new NoTokens("No row stands here. Put the cursor into a row of the dataset.");
        const encoder = await RowEncoder.load(setup);
        const encoded = await rendering(encoder.templateName, () => encoder.encode(checker, row));
        return rowTokens(
          encoded,
          { lines: new LineIndex(checker.text), row, span: checker.rowSpan(row) },
          encoder.tokenizer,
          { tokenizer: setup.tokenizer, template: encoder.templateName },
        );
      }),
  );

  connection.onRequest(
    rowTokensAtRequest,
    async ({ uri, range, setup, tokenizers }): Promise<TokensAt | { refused: string }> =>
      refusing(async () => {
        const text = texts.get(uri);
        if (!text) throw new NoTokens("The file is not open.");
        const { document } = text;
        const span = { start: document.offsetAt(range.start), end: document.offsetAt(range.end) };
        const checker = text.checker(setup.format);
        const row = checker.rowAt(span.start);
        if (row === undefined) throw new NoTokens("No row stands here.");
        const own = await RowEncoder.load(setup);
        const compared: TokensAt["tokenizers"] = [];
        for (const { name, path } of tokenizers) {
          try {
            const encoder = await own.withTokenizer(path);
            const encoded = await rendering(own.templateName, () => encoder.encode(checker, row));
            const places = documentPlaces(encoded, checker.text);
            const tokens = Array.from(encoded.ids).filter((_, index) => {
              const place = places[index];
              return place && place.start < span.end && place.end > span.start;
            });
            compared.push({ name, tokens: tokens.map((id) => toComparedToken(id, encoder.tokenizer)) });
          } catch (error) {
            if (!(error instanceof TokenizerError)) throw error;
            compared.push({ name, refused: error.message });
          }
        }
        return { range, text: document.getText(range), tokenizers: compared };
      }),
  );

  connection.onRequest(planRequest, async ({ path, text, severities }) => {
    const runnable = runnableConfig(text, path, diskFiles, severities);
    if ("refused" in runnable) return { refused: runnable.refused };
    try {
      const { signal } = new AbortController();
      return await planTraining(runnable.plan, { report: () => {}, signal });
    } catch (error) {
      if (error instanceof Refused) return error.toRefusal();
      throw error;
    }
  });

  connection.onRequest(
    rowCountsRequest,
    async ({ uri, range, setup, others }, token): Promise<RowCounts[] | { refused: string }> =>
      refusing(async () => {
        const text = texts.get(uri);
        if (!text) return [];
        const encoder = await RowEncoder.load(setup);
        const otherEncoders = await encoder.withTokenizers(others);
        const counts: RowCounts[] = [];
        for (const row of text.rowsEndingIn(range, setup.format)) {
          stopIfCancelled(token);
          const count = await rendering(encoder.templateName, () =>
            text.rowCounts(row, encoder, otherEncoders),
          );
          if (count) counts.push(count);
        }
        return counts;
      }),
  );
}

function stopIfCancelled(token: CancellationToken): void {
  if (token.isCancellationRequested) throw new ResponseError(LSPErrorCodes.RequestCancelled, "Cancelled.");
}

async function refusing<T>(answer: () => Promise<T>): Promise<T | { refused: string }> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof NoTokens || error instanceof TokenizerError || isTemplateError(error)) {
      return { refused: error.message };
    }
    throw error;
  }
}

/** One open document in the worker. */
class OpenText {
  #checker: DatasetChecker | null = null;
  #format: DatasetFormatName | null = null;

  constructor(
    readonly document: TextDocument,
    readonly kind: DocumentKind,
  ) {}

  /** Made when it is first needed, then kept up with the edits. */
  checker(format: DatasetFormatName | null): DatasetChecker {
    if (!this.#checker || this.#format !== format) {
      this.#format = format;
      this.#checker = new DatasetChecker(this.document.getText(), format === null ? {} : { format });
    }
    return this.#checker;
  }

  edit(changes: Parameters<typeof TextDocument.update>[1], version: number): void {
    for (const change of changes) {
      if ("range" in change && this.#checker) {
        const start = this.document.offsetAt(change.range.start);
        const end = this.document.offsetAt(change.range.end);
        TextDocument.update(this.document, [change], version);
        this.#checker.applyEdit({ start, end }, change.text);
      } else {
        TextDocument.update(this.document, [change], version);
        this.#checker?.update(this.document.getText());
      }
    }
  }

  checkTemplate(severities: RuleSeverities): Diagnostic[] {
    const text = this.document.getText();
    return toDiagnostics(checkTemplate(text), new LineIndex(text), severities);
  }

  checkRows(
    severities: RuleSeverities,
    format: DatasetFormatName | null,
  ): { diagnostics: Diagnostic[]; rows: number } {
    const checker = this.checker(format);
    const findings = checker.findings();
    const rows = checker.rowCount;
    if (findings.length === 0) return { diagnostics: [], rows };
    return { diagnostics: toDiagnostics(findings, new LineIndex(checker.text), severities, null), rows };
  }

  /** Rows whose end lies in a range: those whose hints are on the screen. */
  *rowsEndingIn(range: Range, format: DatasetFormatName | null): Generator<number> {
    const start = this.document.offsetAt(range.start);
    const end = this.document.offsetAt(range.end);
    const checker = this.checker(format);
    for (let row = firstRowEndingAt(checker, start); row < checker.rowCount; row++) {
      if (checker.rowSpan(row).end > end) return;
      yield row;
    }
  }

  async rowCounts(
    row: number,
    encoder: RowEncoder,
    otherEncoders: readonly { name: string; encoder: RowEncoder }[],
  ): Promise<RowCounts | null> {
    const checker = this.checker(encoder.setup.format);
    let encoded: EncodedExample;
    const others: RowCounts["others"] = [];
    try {
      encoded = await encoder.encode(checker, row);
      for (const { name, encoder: other } of otherEncoders) {
        try {
          others.push({ name, count: (await other.encode(checker, row)).count });
        } catch (error) {
          // What another tokenizer cannot encode is no reason to count with none.
          if (!(error instanceof TokenizerError)) throw error;
        }
      }
    } catch (error) {
      // A row with a mistake has its squiggle; it needs no count.
      if (error instanceof NoTokens || isTemplateError(error)) return null;
      throw error;
    }
    const { count, supervised, cut } = encoded;
    return {
      end: this.document.positionAt(checker.rowSpan(row).end),
      count,
      supervised,
      dropped: encoded.dropped,
      ...(cut ? { cut: { max_length: cut.maxLength, supervised_lost: cut.supervisedLost } } : {}),
      others,
    };
  }
}

function firstRowEndingAt(checker: DatasetChecker, offset: number): number {
  let low = 0;
  let high = checker.rowCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (checker.rowSpan(middle).end < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Everything needed to turn rows into tokens as training will. */
class RowEncoder {
  private constructor(
    readonly setup: EncodingSetup,
    readonly tokenizer: LoadedTokenizer,
    readonly template: Template | null,
  ) {}

  static async load(setup: EncodingSetup): Promise<RowEncoder> {
    const tokenizer = await loadTokenizer(setup.tokenizer);
    return new RowEncoder(setup, tokenizer, await templateOf(setup, tokenizer));
  }

  /**
   * The same rows through the same template with another tokenizer.
   * @throws TokenizerError
   */
  async withTokenizer(path: string): Promise<RowEncoder> {
    return path === this.setup.tokenizer
      ? this
      : new RowEncoder(this.setup, await loadTokenizer(path), this.template);
  }

  /** Those that can be used: a broken one is no reason to count with none. */
  async withTokenizers(
    tokenizers: readonly TokenizerChoice[],
  ): Promise<{ name: string; encoder: RowEncoder }[]> {
    const encoders: { name: string; encoder: RowEncoder }[] = [];
    for (const { name, path } of tokenizers) {
      try {
        encoders.push({ name, encoder: await this.withTokenizer(path) });
      } catch (error) {
        if (!(error instanceof TokenizerError)) throw error;
      }
    }
    return encoders;
  }

  get templateName(): string {
    return this.template?.name ?? "";
  }

  async encode(checker: DatasetChecker, index: number): Promise<EncodedExample> {
    const { example, unsupported } = checker.row(index);
    if (unsupported !== undefined) throw new NoTokens(`This row cannot be trained on: ${unsupported}.`);
    if (!example) throw new NoTokens("This row has a mistake; repair it to see its tokens.");
    if (example.kind === "conversation" && !this.template) {
      throw new NoTokens(
        this.setup.config === null
          ? "No config names this dataset, and the tokenizer carries no chat template to render conversations with."
          : `${this.setup.config} names no chat template to render conversations with.`,
      );
    }
    const { max_length, truncation } = this.setup;
    return encodeExample(example, this.template, this.tokenizer, {
      maxLength: max_length ?? undefined,
      truncation,
    });
  }
}

async function templateOf({ template }: EncodingSetup, tokenizer: LoadedTokenizer): Promise<Template | null> {
  if (template === null) return null;
  if (template.kind === "builtin") return loadBuiltInTemplate(template.name);
  if (template.kind === "tokenizer") {
    const source = tokenizer.chatTemplate;
    return source === undefined ? null : loadTemplate(source, `of ${tokenizer.path}`);
  }
  try {
    return loadTemplate(await readFile(template.path, "utf8"), template.path);
  } catch (error) {
    if (isTemplateError(error)) throw error;
    throw new NoTokens(`The template ${template.path} cannot be read: ${(error as Error).message}`);
  }
}
