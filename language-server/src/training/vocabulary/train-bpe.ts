import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { VocabularyPlan } from "../../configs/vocabulary-plan";
import type { WordStart } from "../../tokenizers/extension/base-tokenizer";
import type { ScriptCharacters } from "../../tokenizers/extension/scripts";
import type { EngineLocation } from "../engine";
import { runEngine } from "../engine-process";
import type { Reporter } from "../progress";
import { Refused } from "../refused";
import type { CorpusFile } from "./corpus-files";

/** What the engine says about a training of a vocabulary, `native/cli/train_tokenizer.cpp`. */
const eventSchema = z.discriminatedUnion("event", [
  z.object({ event: z.literal("progress"), phase: z.string(), done: z.number(), total: z.number() }),
  z.object({
    event: z.literal("finished"),
    vocab_size: z.number(),
    merges: z.number(),
    texts: z.number(),
    words: z.number(),
    dropped_words: z.number(),
    dropped_occurrences: z.number(),
  }),
]);

const resultSchema = z.object({ vocab: z.array(z.string()) });

export interface TrainedVocabulary {
  /** In the order in which they were made: characters, then what they were merged to. */
  readonly tokens: readonly string[];
  readonly texts: number;
  /** Different ones that were dropped for want of memory, and how often they had occurred. */
  readonly droppedWords: number;
  readonly droppedOccurrences: number;
}

const phases: Readonly<Record<string, string>> = {
  reading: "Reading the corpus",
  tokenizing: "Sorting the corpus",
  counting: "Counting pairs",
  merging: "Merging",
  writing: "Writing the vocabulary",
};

/** Memory for the table of different words, in bytes. */
const maxWordBytes = 2 ** 31;

/**
 * Trains BPE on a corpus by the engine.
 * @param directory where its plan and its result are written
 * @throws Refused with what the engine said; AbortError
 */
export async function trainBpe(
  plan: VocabularyPlan,
  corpus: readonly CorpusFile[],
  { characters, punctuation }: ScriptCharacters,
  wordStart: WordStart,
  directory: string,
  engine: EngineLocation,
  report: Reporter,
  signal: AbortSignal,
): Promise<TrainedVocabulary> {
  const output = join(directory, "vocabulary.json");
  const trainerPlan = {
    version: 1,
    dataset: corpus,
    pre_tokenizer: {
      replacement: wordStart.mark,
      prepend_scheme: wordStart.prepended ? "always" : "never",
      characters,
      isolated: punctuation,
    },
    trainer: {
      vocab_size: plan.vocab_size,
      min_frequency: plan.min_frequency,
      special_tokens: [],
      initial_alphabet: [],
      limit_alphabet: null,
      character_coverage: plan.character_coverage,
      // HF's trainer merges to tokens that are shorter than this.
      max_token_length: plan.max_token_length + 1,
    },
    max_word_bytes: maxWordBytes,
    threads: null,
    output,
  };
  const planFile = join(directory, "trainer.json");
  await writeFile(planFile, `${JSON.stringify(trainerPlan, null, 2)}\n`);
  const finished = await runTrainer(engine, planFile, report, signal);
  const result = resultSchema.parse(JSON.parse(await readFile(output, "utf8")));
  return {
    tokens: result.vocab,
    texts: finished.texts,
    droppedWords: finished.dropped_words,
    droppedOccurrences: finished.dropped_occurrences,
  };
}

type Finished = Extract<z.infer<typeof eventSchema>, { event: "finished" }>;

async function runTrainer(
  engine: EngineLocation,
  plan: string,
  report: Reporter,
  signal: AbortSignal,
): Promise<Finished> {
  let finished: Finished | undefined;
  await runEngine(engine, ["train-tokenizer", plan], {
    mayBeKilled: true,
    signal,
    onLine: (line) => {
      const event = eventSchema.safeParse(parsed(line)).data;
      if (event?.event === "finished") finished = event;
      else if (event) {
        const fraction = event.total > 0 ? Math.min(1, event.done / event.total) : 1;
        report({ message: phases[event.phase] ?? event.phase, fraction });
      }
    },
  });
  if (finished === undefined) throw new Refused("The engine ended without having trained the vocabulary.");
  return finished;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
