import { readFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Option } from "commander";
import { decodeUtf8 } from "../documents/utf8";
import type { RunSummary } from "../protocol";
import { LineIndex } from "../text/line-index";
import { runsNamed } from "../training/discovery";
import { Refused, RunningAlready } from "../training/refused";
import { exists } from "../training/run-directory";
import type { ConfigText } from "../training/training-job";
import { unreadable } from "./unreadable";

/** What the commands about plans and runs share: how a config and a run are named, and how answers and refusals are printed. */

export interface FormatOption {
  format: "text" | "json";
}

export const formatOption = () =>
  new Option("--format <format>", "how to print the answer").choices(["text", "json"]).default("text");

/** The argument names nothing that is there, or an option does not fit it. */
export class WrongUsage extends Error {}

/** Runs a command: a refusal is its negative answer (1), an argument that names nothing or an option that does not fit is wrong usage (2). */
export async function answer(format: FormatOption["format"], command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    if (!(error instanceof Refused || error instanceof RunningAlready || error instanceof WrongUsage))
      throw error;
    process.exitCode = error instanceof WrongUsage ? 2 : 1;
    process.stderr.write(`${inWords(error)}\n`);
    if (format === "json") {
      // On one line: others of what was done before may stand above it.
      const refusal = {
        refused: error.message,
        ...(error instanceof RunningAlready ? { run: error.run } : {}),
        ...(error instanceof Refused && error.location ? { location: error.location } : {}),
      };
      process.stdout.write(`${JSON.stringify(refusal)}\n`);
    }
  }
}

/** `sft.ziptie.yaml:3:5: what is wrong`, lines and columns from 1 as editors and terminals count them. */
function inWords(error: Error): string {
  if (!(error instanceof Refused) || error.location === undefined) return error.message;
  const { line, character } = error.location.range.start;
  return `${shown(fileURLToPath(error.location.uri))}:${line + 1}:${character + 1}: ${error.message}`;
}

export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** A path as short as it can be said from here. */
export function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") || short === "" ? path : short;
}

/** @throws WrongUsage when there is no such file; Refused when it is not UTF-8 */
export async function readConfigText(config: string): Promise<ConfigText> {
  const path = resolve(config);
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new WrongUsage(unreadable(config, error));
  }
  const { text, findings } = decodeUtf8(bytes);
  const [fault] = findings;
  if (fault === undefined) return { path, text, severities: {} };
  throw new Refused(fault.message, {
    uri: pathToFileURL(path).href,
    range: new LineIndex(text).rangeOf(fault.span),
  });
}

/**
 * The run directory that an argument names: a path, or a run's name below the current folder.
 * @throws WrongUsage when there is none, or several
 */
export async function findRun(named: string): Promise<string> {
  if (await exists(resolve(named))) return resolve(named);
  const found = named.includes("/") ? [] : await runsNamed(named, process.cwd());
  const [run] = found;
  if (run === undefined)
    throw new WrongUsage(`There is no run ${named}: neither a directory nor a run's name below this folder.`);
  if (found.length > 1)
    throw new WrongUsage(
      `${named} is the name of several runs: ${found.map(shown).join(", ")}. Give the path.`,
    );
  return run;
}

/** What `train`, `resume` and `stop` print about a run. */
export function printRun(summary: RunSummary, format: FormatOption["format"]): void {
  const { run, state, step, steps, loss, evaluation_loss, reason } = summary;
  if (format === "json") {
    printJson({
      run,
      state,
      step,
      steps,
      loss,
      evaluation_loss,
      ...(reason === undefined ? {} : { reason }),
    });
    return;
  }
  const losses = [
    ...(loss === null ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(evaluation_loss === null ? [] : [`evaluation loss ${evaluation_loss.toFixed(4)}`]),
  ];
  // A run that extends a vocabulary has no steps.
  const how = [state, ...(steps > 0 ? [`step ${step}/${steps}`] : []), ...losses].join(", ");
  process.stdout.write(`${shown(run)}: ${how}\n`);
  if (reason !== undefined) process.stderr.write(`${reason}\n`);
}

/** `3 h 05 min`, `2 min 07 s`, `8 s` */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const two = (n: number) => String(n).padStart(2, "0");
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  return minutes > 0 ? `${minutes} min ${two(whole % 60)} s` : `${whole} s`;
}
