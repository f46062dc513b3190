import { z } from "zod";
import { scriptNames } from "../../tokenizers/extension/scripts";
import { zipTieWeights } from "../../tokenizers/extension/zip-tie-weights";
import { datasets } from "./data";
import { count, key, optional, tokens } from "./key";

const bpe = "HF BpeTrainer";
const sentencePiece = "SentencePiece";

/** How a tokenizer is extended, for `stage: vocabulary`. */
export const vocabularyKeys = {
  scripts: optional(z.array(z.enum(scriptNames)).min(1), {
    source: "Ziptie",
    says: "For `stage: vocabulary`: the Unicode scripts whose characters new tokens are made of, e.g. `[Han]`. Their punctuation comes along, each character as a token of its own. Nothing else is appended, so that text in other scripts is tokenised as before.",
  }),
  vocab_size: key(tokens, 30000, {
    source: bpe,
    says: "For `stage: vocabulary`: tokens of the vocabulary that is trained on `dataset`, characters among them. Those that the tokenizer has already are not added again.",
  }),
  min_frequency: key(z.int().min(0).max(2147483647), 2, {
    source: bpe,
    says: "For `stage: vocabulary`: two tokens are merged only where they stand together so often in `dataset`.",
    default: "HF: `0`",
  }),
  character_coverage: key(z.number().gt(0).max(1), 0.9995, {
    source: sentencePiece,
    says: "For `stage: vocabulary`: the most frequent characters that make up this share of `dataset` become tokens; rarer ones stay what they are.",
  }),
  max_token_length: key(count.max(1024), 16, {
    source: bpe,
    says: "For `stage: vocabulary`: characters of the longest new token.",
    default: "HF: no limit",
  }),
  split_digits: key(z.boolean(), true, {
    source: sentencePiece,
    says: "For `stage: vocabulary`: the scripts' own digits (`१`, `๑`) are tokens one by one.",
    default: "SentencePiece: `false`",
  }),
  zip_tie_weights: key(z.enum(zipTieWeights), "mean", {
    source: "Ziptie",
    says: "For `stage: vocabulary`: what the zip-tie map says of the tokens that a new one replaces: `mean` weighs them alike, `position` the n-th with 1/n of the first one's weight, `length` by their bytes.",
  }),
  check_dataset: optional(datasets, {
    source: "Ziptie",
    says: "For `stage: vocabulary`: text in the languages that the tokenizer is made for. Apart from characters of the `scripts` it must be tokenised as before, or nothing is written.",
    default: "what of `dataset` is ASCII",
  }),
};
