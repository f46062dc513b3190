/**
 * Every custom request and notification between the extension, the language server and the webviews, typed once.
 * Types and names alone, no schemas: the extension loads this whenever it is activated.
 * Names follow LSP: positions and ranges count lines and UTF-16 code units from 0.
 */
import type { RunEvent } from "./training/events";

export type { EvaluationEvent, RunEvent, StepEvent } from "./training/events";

export interface Position {
  line: number;
  character: number;
}

export interface Range {
  start: Position;
  end: Position;
}

/** Names a request or notification and carries its types; `vscode-jsonrpc`'s types are built from it on either side. */
export interface RequestName<Params, Result> {
  readonly method: string;
  /** Never present at run time; keeps `Params` and `Result` in the type. */
  readonly _types?: (params: Params) => Result;
}
export interface NotificationName<Params> {
  readonly method: string;
  readonly _types?: (params: Params) => void;
}

const request = <Params, Result>(method: string): RequestName<Params, Result> => ({ method });
const notification = <Params>(method: string): NotificationName<Params> => ({ method });

// ── Tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Asks for the tokens of the dataset row at `position`, as training would see them. */
export interface RowTokensParams {
  uri: string;
  position: Position;
}

/** One token of a rendered row that has a place in the document. */
export interface RowToken {
  /** Where the token's characters stand in the document. */
  range: Range;
  id: number;
  /** The token as the tokenizer names it, e.g. `▁the` or `<0xE9>`. */
  token: string;
  /** Whether predicting this token carries loss. */
  supervised: boolean;
  kind: "text" | "special" | "byte";
}

export interface RowTokens {
  row: number;
  range: Range;
  /** Tokens of the whole rendered row, template text included. */
  count: number;
  supervised: number;
  /** Set when the row is longer than the config's `max_length`. */
  cut?: { max_length: number; supervised_lost: number };
  tokens: RowToken[];
  /** Tokens of the template itself (role headers, BOS, EOS …) that stand nowhere in the document. */
  template_tokens: number;
  tokenizer: string;
  template: string;
}

/** Why an answer cannot be given, in words for a person; `action` is a command that would help. */
export interface Refusal {
  refused: string;
  /** Where the reason stands, to be revealed in the editor. */
  location?: { uri: string; range: Range };
}

export const rowTokensRequest = request<RowTokensParams, RowTokens | Refusal>("ziptie/rowTokens");

// ── Plans and runs ───────────────────────────────────────────────────────────────────────────────────────────────

export interface ConfigParams {
  /** A training config's URI. An open buffer wins over the disk. */
  uri: string;
}

/** What a config would do, resolved; the JSON document of `ziptie plan`. */
export interface PlanSummary {
  config: string;
  stage: "vocabulary" | "pretrain" | "sft";
  steps: number;
  /** Optimizer steps of one pass over the data; seldom a whole number. */
  steps_per_epoch: number;
  tokens_per_epoch: number;
  supervised_share: number;
  rows: number;
  rows_dropped: number;
  rows_cut: number;
  /** Rows that are not trained or evaluated on, by dataset and reason; `first` counts rows from 1. */
  dropped: { path: string; reason: string; rows: number; first: { row: number; message: string } }[];
  /** An estimate; the sum of `memory`. */
  memory_bytes: number;
  memory: { weights: number; gradients: number; optimizer: number; activations: number; engine: number };
  trainable_parameters: number;
  parameters: number;
  trainable: { name: string; shape: number[]; learning_rate: number }[];
  output_dir: string;
  /** Sentences for a person: rows that are not used, and why. */
  warnings: string[];
  /** The resolved plan as the engine would get it, without shard paths. */
  plan: unknown;
}

export const planRequest = request<ConfigParams, PlanSummary | Refusal>("ziptie/plan");

export type RunState = "preparing" | "running" | "finished" | "stopped" | "failed" | "interrupted";

/** One run as a list shows it. `interrupted`: the engine is gone and left neither a finish nor a failure. */
export interface RunSummary {
  /** Absolute path of the run directory; identifies the run. */
  run: string;
  /** The directory's name, e.g. `sft-3`. */
  name: string;
  state: RunState;
  step: number;
  steps: number;
  loss: number | null;
  evaluation_loss: number | null;
  /** ISO 8601. */
  started: string;
  ended?: string;
  /** Absolute path of the config the run was started from. */
  config: string;
  /** Seconds left, estimated from the recent steps; absent unless running. */
  eta_seconds?: number;
  /** What went wrong, for `failed`. */
  reason?: string;
  /** Whether a complete checkpoint is there to resume from. */
  resumable: boolean;
}

export interface RunParams {
  run: string;
}

/** Prepares the data and starts the engine; answers when the engine has been started. Progress through `window/workDoneProgress`. */
export interface StartTrainingParams extends ConfigParams {
  workDoneToken?: string | number;
}
export interface StartedRun {
  run: string;
  /** Sentences for a person: rows that are not trained on, and why. */
  warnings?: string[];
}
/** A run of this config is going on already. */
export interface AlreadyRunning {
  alreadyRunning: string;
}

export const startTrainingRequest = request<StartTrainingParams, StartedRun | AlreadyRunning | Refusal>(
  "ziptie/startTraining",
);
export const resumeRunRequest = request<RunParams, StartedRun | AlreadyRunning | Refusal>("ziptie/resumeRun");
/** Asks the engine to write a checkpoint and end; answers when the process has been told. */
export const stopRunRequest = request<RunParams, Record<string, never> | Refusal>("ziptie/stopRun");
export const listRunsRequest = request<Record<string, never>, RunSummary[]>("ziptie/runs");
/** The list of runs, or something in it, has changed. Sent at most a few times a second. */
export const runsChangedNotification = notification<{ runs: RunSummary[] }>("ziptie/runsChanged");

/** Answers with the run's whole history and, from then on, sends increments until `unwatchRun`. */
export const watchRunRequest = request<RunParams, RunHistory | Refusal>("ziptie/watchRun");
export const unwatchRunRequest = request<RunParams, Record<string, never>>("ziptie/unwatchRun");
/** New lines of a watched run's `events.jsonl`. */
export const runEventsNotification = notification<{ run: string; events: RunEvent[] }>("ziptie/runEvents");

export interface RunHistory {
  summary: RunSummary;
  events: RunEvent[];
}

// ── The training panel's messages ────────────────────────────────────────────────────────────────────────────────

/** Columns of one run's steps, for charts: equal length, ordered by step; null where a value is missing or not finite. */
export interface RunSeries {
  step: number[];
  loss: (number | null)[];
  learning_rate: (number | null)[];
  grad_norm: (number | null)[];
  tokens_per_second: (number | null)[];
  memory_bytes: (number | null)[];
  evaluation_step: number[];
  evaluation_loss: (number | null)[];
  checkpoint_step: number[];
}

/** extension → training panel */
export type TrainingPanelInput =
  /** Everything, when the panel becomes visible or a run is chosen for overlay. Replaces what the panel had. */
  | {
      type: "snapshot";
      primary: string;
      runs: { summary: RunSummary; series: RunSeries }[];
      available: RunSummary[];
      /** So many runs at most are laid over the panel's own. */
      max_overlaid: number;
    }
  /** New points of a shown run, to append. */
  | { type: "append"; run: string; summary: RunSummary; series: RunSeries }
  | { type: "available"; runs: RunSummary[] }
  | { type: "failure"; message: string }
  /** The run goes on: it could not be told to stop, and the person has been told why. */
  | { type: "stopRefused"; run: string };

/** training panel → extension; its schema, by which it is validated where it enters, is in `panel-messages.ts`. */
export type { TrainingPanelOutput } from "./panel-messages";
