import { inByteAlphabet } from "../../../../language-server/src/tokenizers/byte-alphabet";
import {
  type BaseTokenizer,
  readBaseTokenizer,
} from "../../../../language-server/src/tokenizers/extension/base-tokenizer";

type Merge = readonly [string, string];

const bytes = Array.from({ length: 256 }, (_, byte) => byte);

function tokenizerJson(
  tokens: readonly string[],
  merges: readonly Merge[],
  rest: object,
  model: object,
): string {
  const vocab = Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
  const base = {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
  };
  return JSON.stringify({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...rest,
    model: { ...base, fuse_unk: false, byte_fallback: false, ...model, vocab, merges },
  });
}

/** As Llama 2's: characters, bytes of those that it lacks, a space mark before every text. */
export function byteFallbackBase(
  characters: string,
  merges: readonly Merge[] = [],
  rest: object = {},
): BaseTokenizer {
  const fallback = bytes.map((byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", ...fallback, "▁", ...characters, ...merges.map(([left, right]) => left + right)];
  const normalizers = [
    { type: "Prepend", prepend: "▁" },
    { type: "Replace", pattern: { String: " " }, content: "▁" },
  ];
  const normalizer = { type: "Sequence", normalizers };
  const model = { byte_fallback: true, unk_token: "<unk>", fuse_unk: true };
  return readBaseTokenizer(
    tokenizerJson(tokens, merges, { normalizer, ...rest }, model),
    "base/tokenizer.json",
  );
}

/** As GPT-2's: every token is a run of bytes. Merges are given as UTF-8. */
export function byteLevelBase(merges: readonly (readonly [Uint8Array, Uint8Array])[] = []): BaseTokenizer {
  const pairs = merges.map(([left, right]): Merge => [inByteAlphabet(left), inByteAlphabet(right)]);
  const alphabet = bytes.map((byte) => inByteAlphabet(Uint8Array.of(byte)));
  const tokens = [...alphabet, ...pairs.map(([left, right]) => left + right)];
  const pre_tokenizer = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return readBaseTokenizer(tokenizerJson(tokens, pairs, { pre_tokenizer }, {}), "base/tokenizer.json");
}
