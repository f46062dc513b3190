import type { Diagnostic, Position, Range, TextDocumentContentChangeEvent } from "vscode-languageserver";
import { NotificationType, RequestType } from "vscode-languageserver";
import type { ChatTemplateSource, DatasetFormatName } from "../configs/training-plan";
import type { DocumentKind } from "../documents/kind";
import type { PlanSummary, Refusal, RowTokens, TokenizerChoice, TokensAt } from "../protocol";
import type { RuleSeverities } from "../rules/severity";

/** What the server's thread and the worker thread say to each other. The worker keeps its own copy of every open text. */

export const openNotification = new NotificationType<{
  uri: string;
  kind: DocumentKind;
  version: number;
  text: string;
}>("open");

export const changeNotification = new NotificationType<{
  uri: string;
  version: number;
  changes: readonly TextDocumentContentChangeEvent[];
}>("change");

export const closeNotification = new NotificationType<{ uri: string }>("close");

/** Sent before a template of somebody's is rendered, and after: rendering has a shorter limit than the rest. */
export const renderingNotification = new NotificationType<{ rendering: boolean; template: string }>(
  "rendering",
);

export interface CheckedDocument {
  /** Of the text that was checked. */
  version: number;
  diagnostics: Diagnostic[];
  /** Rows of a dataset; 0 for anything else. */
  rows: number;
}
export const checkRequest = new RequestType<
  {
    uri: string;
    severities: RuleSeverities;
    /** The format that a config gives a dataset; null: detected from the rows. */
    format: DatasetFormatName | null;
  },
  CheckedDocument | null,
  void
>("check");

/** How a dataset's rows become tokens: what a config says, or the settings. */
export interface EncodingSetup {
  /** Absolute path of a directory or of a `tokenizer.json`. */
  tokenizer: string;
  template: ChatTemplateSource | null;
  format: DatasetFormatName | null;
  max_length: number | null;
  truncation: "cut" | "drop";
  /** Absolute path of the config that says so; null for the settings. */
  config: string | null;
}

export const rowTokensRequest = new RequestType<
  { uri: string; position: Position; setup: EncodingSetup },
  RowTokens | { refused: string },
  void
>("rowTokens");

/** What several tokenizers make of the characters of one token of a row; the row's own tokenizer comes first. */
export const rowTokensAtRequest = new RequestType<
  { uri: string; range: Range; setup: EncodingSetup; tokenizers: readonly TokenizerChoice[] },
  TokensAt | { refused: string },
  void
>("rowTokensAt");

/** Counts of one row, without its tokens. */
export interface RowCounts {
  /** Where the row ends. */
  end: Position;
  count: number;
  supervised: number;
  /** Whether the row is left out for being too long. */
  dropped: boolean;
  cut?: { max_length: number; supervised_lost: number };
  /** Tokens of the same rendered row in other tokenizers; one that cannot be used is left out. */
  others: { name: string; count: number }[];
}
export const rowCountsRequest = new RequestType<
  { uri: string; range: Range; setup: EncodingSetup; others: readonly TokenizerChoice[] },
  RowCounts[] | { refused: string },
  void
>("rowCounts");

/** What a config that can be run would do; reads its data. A refusal is not an error: it may only need its base trained first. */
export const planRequest = new RequestType<
  { path: string; text: string; severities: RuleSeverities },
  PlanSummary | Refusal,
  void
>("plan");
