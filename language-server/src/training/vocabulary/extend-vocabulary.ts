import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { VocabularyPlan } from "../../configs/vocabulary-plan";
import { CorpusError } from "../../tokenizers/corpus";
import { type BaseTokenizer, readBaseTokenizer } from "../../tokenizers/extension/base-tokenizer";
import { extendVocabulary } from "../../tokenizers/extension/extend";
import { compareIds, countTokens, unreachableTokens } from "../../tokenizers/extension/measure";
import { PlainEncoder } from "../../tokenizers/extension/plain-encoder";
import { charactersOf, isWithin, type ScriptCharacters } from "../../tokenizers/extension/scripts";
import {
  extendedTokenizerJson,
  tokenizerConfigFor,
  withoutPreparation,
} from "../../tokenizers/extension/tokenizer-files";
import { baseTokenBytes, zipTieJson, zipTieMap } from "../../tokenizers/extension/zip-tie";
import { loadTokenizer } from "../../tokenizers/tokenizer";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import { findTokenizerFiles } from "../../tokenizers/tokenizer-files";
import type { EngineLocation } from "../engine";
import type { PreparationHooks } from "../prepare";
import { throttled } from "../progress";
import { hasCode, Refused } from "../refused";
import { createRunDirectory, releaseStartLock, runFiles } from "../run-directory";
import { unwritable } from "../unwritable";
import { corpusFiles } from "./corpus-files";
import { reportInMarkdown, type VocabularyReport, vocabularyReport } from "./report";
import { checkedTexts, measuredTexts } from "./texts";
import { trainBpe } from "./train-bpe";

/** Files of a run that extended a vocabulary, beside those that every run has. */
export const vocabularyFiles = {
  /** An HF tokenizer directory, with the zip-tie map in it. */
  tokenizer: "tokenizer",
  zipTie: "zip-tie.json",
  report: "report.json",
  reportInWords: "report.md",
} as const;

/**
 * Extends a tokenizer by what a corpus teaches, and writes it to a run directory of its own.
 * @returns the run directory, complete
 * @throws Refused, AbortError; the directory is gone then
 */
export async function runVocabularyExtension(
  plan: VocabularyPlan,
  configText: string,
  engine: EngineLocation,
  hooks: PreparationHooks,
): Promise<{ run: string; warnings: string[] }> {
  let run: string | undefined;
  try {
    const base = await readBase(plan.tokenizer);
    hooks.signal.throwIfAborted();
    const record = { config: plan.config, name: plan.name, started: new Date().toISOString() };
    run = await createRunDirectory(plan.output_dir, record, configText);
    hooks.onDirectory?.(run);
    const report = await extendInto(run, plan, base, engine, hooks);
    hooks.signal.throwIfAborted();
    await finishRun(run);
    hooks.onDirectory?.(null);
    return { run, warnings: warningsOf(report) };
  } catch (error) {
    if (run !== undefined) await rm(run, { recursive: true, force: true });
    throw plainly(error, plan);
  }
}

async function readBase(path: string): Promise<BaseTokenizer> {
  const files = await findTokenizerFiles(path);
  if (!files.tokenizer.endsWith(".json")) {
    throw new Refused(
      `${files.tokenizer} is no tokenizer.json, which is what can be extended. Convert it with transformers: AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY).`,
    );
  }
  return readBaseTokenizer(await readFile(files.tokenizer, "utf8"), files.tokenizer);
}

async function extendInto(
  run: string,
  plan: VocabularyPlan,
  base: BaseTokenizer,
  engine: EngineLocation,
  { report: reporter, signal }: PreparationHooks,
): Promise<VocabularyReport> {
  const report = throttled(reporter);
  const characters = charactersOf(plan.scripts);
  const inTokens: ScriptCharacters = plan.split_digits ? characters : withDigits(characters);
  const data = join(run, runFiles.data);
  const corpus = await corpusFiles(plan.dataset, data, report, signal);
  const trained = await trainBpe(plan, corpus, inTokens, base.wordStart, data, engine, report, signal);

  report({ message: "Extending the vocabulary", fraction: 0 });
  const original = new PlainEncoder(JSON.stringify(base.json));
  const bare = new PlainEncoder(withoutPreparation(JSON.stringify(base.json)));
  const extension = extendVocabulary(base, trained.tokens, inTokens);
  if (extension.added.length === 0) {
    throw new Refused(
      `The ${trained.tokens.length} tokens that were trained are all in ${base.path} already, or cannot be added: there is nothing to extend it with. Give more text in ${plan.scripts.join(", ")}, or a larger vocab_size.`,
    );
  }
  const json = extendedTokenizerJson(base, extension);
  const lost = await unreachableTokens(extension.added, new PlainEncoder(withoutPreparation(json)));
  if (lost.length > 0)
    throw new Error(
      `${lost.length} added tokens do not come about from their text: ${lost.slice(0, 5).join(" ")}`,
    );

  const extended = new PlainEncoder(json);
  const isOwn = ownCharacters(characters);
  const check = await compareIds(checkedTexts(plan, signal), isOwn, original, extended, (texts) =>
    report({ message: `Comparing texts of the base's languages: ${texts}`, fraction: 0 }),
  );
  if (check.changed > 0) {
    throw new Refused(
      `${check.changed} of ${check.texts} texts that must be tokenised as before are not, e.g. ${JSON.stringify(check.examples[0]?.slice(0, 200))}. Leave out the scripts that they are written in.`,
    );
  }
  const counts = await countTokens(measuredTexts(plan, signal), original, extended, (texts) =>
    report({ message: `Measuring the efficiency: ${texts} texts`, fraction: 0 }),
  );
  const bytesOf = baseTokenBytes(base);
  const map = await zipTieMap(extension.added, bare, plan.zip_tie_weights, bytesOf);
  await writeTokenizer(join(run, vocabularyFiles.tokenizer), plan, base, json, zipTieJson(map));
  const result = vocabularyReport(plan, base, trained, extension, counts, check);
  await writeFile(join(run, vocabularyFiles.report), `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(join(run, vocabularyFiles.reportInWords), reportInMarkdown(result));
  return result;
}

/** Digits of the scripts inside of tokens, too. */
function withDigits({ characters, punctuation }: ScriptCharacters): ScriptCharacters {
  const isDigit = (code: number) => /\p{Nd}/u.test(String.fromCodePoint(code));
  return {
    characters: [...characters, ...punctuation.filter(([first]) => isDigit(first))].sort(
      (a, b) => a[0] - b[0],
    ),
    punctuation: punctuation.filter(([first]) => !isDigit(first)),
  };
}

function ownCharacters({ characters, punctuation }: ScriptCharacters): (character: string) => boolean {
  return isWithin([...characters, ...punctuation].sort((a, b) => a[0] - b[0]));
}

/** What of the base's files goes along; those that hold its vocabulary once more would contradict the new one. */
const companions = ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

async function writeTokenizer(
  directory: string,
  plan: VocabularyPlan,
  base: BaseTokenizer,
  json: string,
  map: string,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "tokenizer.json"), json);
  await writeFile(join(directory, vocabularyFiles.zipTie), map);
  const { tokenizer } = await findTokenizerFiles(plan.tokenizer);
  const isBare = basename(tokenizer) !== "tokenizer.json";
  let hasConfig = false;
  for (const name of isBare ? [] : companions) {
    try {
      await copyFile(join(dirname(tokenizer), name), join(directory, name));
      hasConfig ||= name === "tokenizer_config.json";
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
  }
  if (hasConfig) return;
  const { special } = await loadTokenizer(plan.tokenizer);
  await writeFile(join(directory, "tokenizer_config.json"), tokenizerConfigFor(base, special));
}

/** The last word, as the engine has it at the end of a training run. */
async function finishRun(run: string): Promise<void> {
  const event = {
    event: "run_finished",
    time: new Date().toISOString(),
    state: "finished",
    step: 0,
    output: join(run, vocabularyFiles.tokenizer),
  };
  await writeFile(join(run, runFiles.events), `${JSON.stringify(event)}\n`);
  await releaseStartLock(run);
}

function warningsOf({ dropped, corpus }: VocabularyReport): string[] {
  const warnings: string[] = [];
  if (dropped.unreachable.length > 0) {
    warnings.push(
      `${dropped.unreachable.length} trained tokens were left out: the base's own merges keep them from coming about.`,
    );
  }
  if (corpus.dropped_words > 0) {
    warnings.push(
      `The corpus has more different words than there was memory for: the rarest, ${corpus.dropped_occurrences} occurrences, were left out.`,
    );
  }
  return warnings;
}

function plainly(error: unknown, plan: VocabularyPlan): unknown {
  if (error instanceof TokenizerError || error instanceof CorpusError) return new Refused(error.message);
  return unwritable(error, plan.output_dir);
}
