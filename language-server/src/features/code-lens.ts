import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { CodeLens } from "vscode-languageserver";
import { diskFiles } from "../configs/config-files";
import { readConfig } from "../configs/read-config";
import type { TrainingPlan } from "../configs/training-plan";
import type { PlanSummary, Refusal } from "../protocol";
import { runnableConfig } from "../rules/config-rules";
import { planRequest } from "./analysis-protocol";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";

/** Bytes of data up to which the numbers are worked out without being asked for. */
const cheapData = 4 * 1024 * 1024;
/** Milliseconds after which the numbers are left out. */
const patience = 10_000;

const top = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };

/**
 * Above a config's first line: `▶ Start`, `Plan`, and what the plan comes to; `▶ Extend Vocabulary` where no model is
 * trained.
 */
export function register({ connection, documents, settings, worker, ready }: ServerContext): void {
  const summaries = new Map<string, { stamp: string; summary: Promise<PlanSummary | Refusal> }>();

  const summaryOf = (uri: string, path: string, text: string, plan: TrainingPlan) => {
    const stamp = stampOf(plan, text);
    const known = summaries.get(uri);
    if (known?.stamp === stamp) return known.summary;
    const summary = worker.request(
      planRequest,
      { path, text, severities: settings().rules },
      { limit: patience },
    );
    summaries.set(uri, { stamp, summary });
    // What failed once (a time limit, a restart) or was refused (its base has no finished run) may do better next time.
    const forget = () => {
      if (summaries.get(uri)?.summary === summary) summaries.delete(uri);
    };
    summary.then((answer) => {
      if ("refused" in answer) forget();
    }, forget);
    return summary;
  };

  connection.onCodeLens(({ textDocument }): CodeLens[] => {
    const document = documents.get(textDocument.uri);
    const path = pathOfUri(textDocument.uri);
    if (!document || path === null || kindOf(document) !== "training-config") return [];
    const { uri } = document;
    const lens = (title: string, command: string): CodeLens => ({
      range: top,
      command: { title, command, arguments: [uri] },
    });
    if (readConfig(document.getText(), path).partial?.stage === "vocabulary") {
      return [lens("▶ Extend Vocabulary", "ziptie.extendVocabulary")];
    }
    const lenses = [lens("▶ Start", "ziptie.startTraining"), lens("Plan", "ziptie.previewPlan")];
    const runnable = runnableConfig(document.getText(), path, diskFiles, settings().rules);
    if ("plan" in runnable && dataBytes(runnable.plan) <= cheapData)
      lenses.push({ range: top, data: { uri } });
    return lenses;
  });

  connection.onCodeLensResolve(async (lens): Promise<CodeLens> => {
    await ready;
    const uri = (lens.data as { uri?: unknown } | undefined)?.uri;
    const document = typeof uri === "string" ? documents.get(uri) : undefined;
    const path = document && pathOfUri(document.uri);
    const said = (title: string): CodeLens => ({
      ...lens,
      command: { title, command: "ziptie.previewPlan", arguments: [uri] },
    });
    if (!document || !path) return said("");
    const text = document.getText();
    const runnable = runnableConfig(text, path, diskFiles, settings().rules);
    if (!("plan" in runnable)) return said("");
    try {
      const summary = await summaryOf(document.uri, path, text, runnable.plan);
      return said("refused" in summary ? firstSentence(summary.refused) : planLabel(summary));
    } catch {
      return said("");
    }
  });

  documents.onDidClose(({ document }) => summaries.delete(document.uri));
}

const grouped = (value: number) => value.toLocaleString("en");

/** `620 steps · 36,412 tokens an epoch · about 120 MB` */
export function planLabel({ steps, tokens_per_epoch, memory_bytes }: PlanSummary): string {
  const gigabytes = memory_bytes / 1e9;
  const memory = gigabytes >= 1 ? `${gigabytes.toFixed(1)} GB` : `${Math.ceil(memory_bytes / 1e6)} MB`;
  return `${grouped(steps)} steps · ${grouped(tokens_per_epoch)} tokens an epoch · about ${memory}`;
}

function firstSentence(text: string): string {
  return /^.*?[.!?](?=\s|$)/s.exec(text)?.[0] ?? text;
}

function inputsOf(plan: TrainingPlan): string[] {
  const { model, chat_template: template } = plan;
  return [
    ...[...plan.dataset, ...(plan.evaluation?.dataset ?? [])].map(({ path }) => path),
    plan.tokenizer.path,
    resolve(plan.tokenizer.path, "tokenizer.json"),
    // Where the model of another config's newest run appears.
    plan.output_dir,
    ...(model.kind === "architecture" ? [] : [model.path]),
    ...(template?.kind === "file" ? [template.path] : []),
  ];
}

function dataBytes(plan: TrainingPlan): number {
  const sources = [...plan.dataset, ...(plan.evaluation?.dataset ?? [])];
  return sources.reduce(
    (bytes, { path }) => bytes + (statSync(path, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

function stampOf(plan: TrainingPlan, text: string): string {
  const files = inputsOf(plan).map((path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat ? `${stat.mtimeMs}:${stat.size}` : "-";
  });
  return [text, ...files].join("\n");
}
