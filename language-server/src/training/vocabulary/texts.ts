import type { VocabularyPlan } from "../../configs/vocabulary-plan";
import type { CorpusText } from "../../tokenizers/corpus";
import { textsOf } from "./corpus-files";

/** Of a corpus that is read for want of another one, so many texts are enough. */
const enoughTexts = 20_000;
/** Looked at in search of them. */
const mostTexts = 200_000;

/** What the efficiency is measured on: the whole evaluation data, or the beginning of the corpus. */
export async function* measuredTexts(plan: VocabularyPlan, signal: AbortSignal): AsyncGenerator<CorpusText> {
  if (plan.evaluation.length > 0) return yield* textsOf(plan.evaluation, signal);
  yield* first(enoughTexts, textsOf(plan.dataset, signal));
}

/** What must be tokenised as before: the check data whole, or what is ASCII in the corpus. */
export async function* checkedTexts(plan: VocabularyPlan, signal: AbortSignal): AsyncGenerator<CorpusText> {
  if (plan.check.length > 0) return yield* textsOf(plan.check, signal);
  yield* first(enoughTexts, asciiOf(first(mostTexts, textsOf(plan.dataset, signal))));
}

async function* asciiOf(texts: AsyncIterable<CorpusText>): AsyncGenerator<CorpusText> {
  for await (const { text } of texts) {
    for (const [stretch] of text.matchAll(/[\t\n\r -~]*[A-Za-z\d][\t\n\r -~]*/g))
      yield { text: stretch, words: undefined };
  }
}

async function* first<Text>(count: number, texts: AsyncIterable<Text>): AsyncGenerator<Text> {
  let taken = 0;
  for await (const text of texts) {
    yield text;
    if (++taken === count) return;
  }
}
