/**
 * How long a person waits for the language server, on a generated 5 MB JSONL of dialogues.
 *
 *     npm run bench -- server
 *
 * The peer is VS Code's own JSON language service, parsing and validating the same rows against a schema of the format, in this same run.
 * Medians of several rounds; rounds alternate between the two.
 */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { pathToFileURL } from "node:url";
import { getLanguageService, type JSONSchema } from "vscode-json-languageservice";
import {
  createProtocolConnection,
  DidChangeTextDocumentNotification,
  DidOpenTextDocumentNotification,
  InitializedNotification,
  InitializeRequest,
  PublishDiagnosticsNotification,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import { DatasetChecker } from "../../language-server/src/datasets/check";

const bytes = 5_000_000;
const rounds = 9;
const edits = 40;
const server = resolve("dist/server.js");

/** Rows of two to six turns in two languages; the same on every machine. */
function generateRows(): string[] {
  const words = [
    "月亮",
    "為什麼",
    "reflects",
    "the light of",
    "繞著",
    "地球",
    "seasons",
    "因為",
    "tilted",
    "市場",
    "賣什麼",
  ];
  let state = 12345;
  const next = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % below;
  };
  const rows: string[] = [];
  let size = 0;
  while (size < bytes) {
    const messages = Array.from({ length: 2 + 2 * next(3) }, (_, turn) => ({
      role: turn % 2 === 0 ? "user" : "assistant",
      content: `${rows.length} ${Array.from({ length: 4 + next(24) }, () => words[next(words.length)]).join(" ")}`,
    }));
    const row = JSON.stringify({ messages });
    rows.push(row);
    size += Buffer.byteLength(row) + 1;
  }
  return rows;
}

const messagesSchema: JSONSchema = {
  type: "object",
  required: ["messages"],
  properties: {
    messages: {
      type: "array",
      minItems: 2,
      items: {
        type: "object",
        required: ["role", "content"],
        properties: {
          role: { enum: ["system", "user", "assistant", "tool"] },
          content: { type: "string", minLength: 1 },
        },
      },
    },
  },
};

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function percentile95(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.95)] ?? Number.NaN;
}

function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

async function checkRows(rows: readonly string[]): Promise<{ ours: number; peer: number }> {
  const jsonl = rows.join("\n");
  const service = getLanguageService({});
  service.configure({
    schemas: [
      { uri: "schema://messages", fileMatch: ["*"], schema: { type: "array", items: messagesSchema } },
    ],
  });
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < rounds; round++) {
    let begin = performance.now();
    const checker = new DatasetChecker(jsonl, { findingsPerRule: Number.POSITIVE_INFINITY });
    if (checker.findings().length > 0) throw new Error(`unexpected: ${checker.findings()[0]?.message}`);
    ours.push(performance.now() - begin);

    begin = performance.now();
    const document = TextDocument.create("file:///rows.json", "json", round, `[${rows.join(",\n")}]`);
    const diagnostics = await service.doValidation(document, service.parseJSONDocument(document));
    if (diagnostics.length > 0) throw new Error(`unexpected: ${diagnostics[0]?.message}`);
    peer.push(performance.now() - begin);
  }
  return { ours: median(ours), peer: median(peer) };
}

/** The built server in a process of its own, as the extension starts it. */
async function startServer() {
  const begin = performance.now();
  const child = spawn(process.execPath, [server, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
  const connection = createProtocolConnection(
    new StreamMessageReader(child.stdout),
    new StreamMessageWriter(child.stdin),
  );
  connection.listen();
  await connection.sendRequest(InitializeRequest.type, {
    processId: process.pid,
    rootUri: null,
    workspaceFolders: null,
    capabilities: { textDocument: { publishDiagnostics: { versionSupport: true } } },
  });
  const ready = performance.now() - begin;
  await connection.sendNotification(InitializedNotification.type, {});
  return { connection, ready, stop: () => child.kill() };
}

async function keystrokes(rows: readonly string[]) {
  const { connection, stop } = await startServer();
  const uri = pathToFileURL(resolve("dist/bench/rows.jsonl")).href;
  const waiting = new Map<number, (seconds: number) => void>();
  connection.onNotification(PublishDiagnosticsNotification.type, (published) => {
    if (published.uri === uri && published.version !== undefined)
      waiting.get(published.version)?.(performance.now());
  });
  const published = (version: number) => new Promise<number>((done) => waiting.set(version, done));

  let begin = performance.now();
  const opened = published(1);
  await connection.sendNotification(DidOpenTextDocumentNotification.type, {
    textDocument: { uri, languageId: "jsonl", version: 1, text: rows.join("\n") },
  });
  const open = (await opened) - begin;

  const latencies: number[] = [];
  for (let edit = 0; edit < edits; edit++) {
    const version = edit + 2;
    const line = Math.floor((rows.length * edit) / edits);
    // Breaks a role and mends it again: every answer differs from the one before.
    const row = rows[line] ?? "";
    const start = row.indexOf('"user"') + 1;
    const broken = edit % 2 === 0;
    const target = broken ? line : Math.floor((rows.length * (edit - 1)) / edits);
    const character = broken ? start : (rows[target] ?? "").indexOf('"user"') + 1;
    const answered = published(version);
    begin = performance.now();
    await connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri, version },
      contentChanges: [
        {
          range: { start: { line: target, character }, end: { line: target, character: character + 1 } },
          text: broken ? "x" : "u",
        },
      ],
    });
    latencies.push((await answered) - begin);
  }
  connection.dispose();
  stop();
  return { open, latency: median(latencies), latency95: percentile95(latencies) };
}

async function main(): Promise<void> {
  const rows = generateRows();
  const text = rows.join("\n");
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}`);
  console.log(
    `${rows.length.toLocaleString("en")} rows, ${(Buffer.byteLength(text) / 1e6).toFixed(1)} MB JSONL of messages; medians of ${rounds} rounds, ${edits} edits\n`,
  );

  const { ours, peer } = await checkRows(rows);
  const rate = (time: number) => `${Math.round((rows.length / time) * 1000).toLocaleString("en")} rows/s`;
  console.log(
    `rows checked            ${rate(ours)} (${milliseconds(ours)}); vscode-json-languageservice ${rate(peer)} (${milliseconds(peer)}); ${(peer / ours).toFixed(1)} times as fast`,
  );

  const { open, latency, latency95 } = await keystrokes(rows);
  console.log(`opened to diagnostics   ${milliseconds(open)}`);
  console.log(
    `keystroke to diagnostics ${milliseconds(latency)} median, ${milliseconds(latency95)} 95th percentile; the peer checks the whole file again: ${milliseconds(peer)}`,
  );

  const starts: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { connection, ready, stop } = await startServer();
    starts.push(ready);
    connection.dispose();
    stop();
  }
  console.log(`server start to ready   ${milliseconds(median(starts))}`);
}

void main();
