/** The files of an extended tokenizer. */
import type { BaseTokenizer } from "./base-tokenizer";
import type { Extension } from "./extend";

type JsonObject = { [key: string]: unknown };

/** `tokenizer.json` with what was appended; all else is the base's. */
export function extendedTokenizerJson(base: BaseTokenizer, { added, merges, vocabulary }: Extension): string {
  const model = base.json.model as JsonObject;
  const entries = [...vocabulary.ids];
  // Whoever loads the file gives an added token that the vocabulary lacks the next id after all that it has, which would no longer be
  // the one it had: so the vocabulary has it.
  for (const { id, content } of base.addedTokens)
    if (!vocabulary.ids.has(content)) entries.push([content, id]);
  entries.sort((left, right) => left[1] - right[1]);
  const listed = model.merges as unknown[];
  const areTexts =
    typeof listed[0] === "string" && merges.every((merge) => merge.every((part) => !part.includes(" ")));
  const appended = areTexts ? merges.map(([left, right]) => `${left} ${right}`) : merges;
  const before = areTexts ? listed : pairsOf(listed);
  const extended =
    added.length === 0
      ? model
      : { ...model, vocab: Object.fromEntries(entries), merges: [...before, ...appended] };
  return `${JSON.stringify({ ...base.json, model: extended }, null, 2)}\n`;
}

function pairsOf(merges: readonly unknown[]): unknown[] {
  return merges.map((merge) => {
    if (typeof merge !== "string") return merge;
    const space = merge.indexOf(" ");
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

/**
 * A `tokenizer.json` that takes a text as it is: nothing normalised, cut beforehand or added. So a token's own text can be
 * tokenised without the space that many tokenizers put before a text.
 */
export function withoutPreparation(tokenizerJson: string): string {
  const json = JSON.parse(tokenizerJson) as JsonObject;
  const model = { ...(json.model as JsonObject), ignore_merges: false };
  return JSON.stringify({
    ...json,
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    truncation: null,
    padding: null,
    added_tokens: [],
    model,
  });
}

interface Named {
  readonly text: string;
}

/** For a base that has none: what transformers needs to load a bare `tokenizer.json`. */
export function tokenizerConfigFor(
  base: BaseTokenizer,
  special: Readonly<Record<"bos" | "eos" | "unk" | "pad", Named | undefined>>,
): string {
  const config = {
    bos_token: special.bos?.text ?? null,
    clean_up_tokenization_spaces: false,
    eos_token: special.eos?.text ?? null,
    pad_token: special.pad?.text ?? null,
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: special.unk?.text ?? (base.json.model as JsonObject).unk_token ?? null,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
