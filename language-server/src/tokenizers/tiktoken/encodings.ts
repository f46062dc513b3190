/**
 * How the vocabularies of tiktoken split a text, and their special tokens. A rank file says neither. The facts are those
 * of openai/tiktoken's `openai_public.py`, meta-llama's `tokenizer.py` and Qwen's `tokenization_qwen.py`.
 *
 * The patterns are written for JavaScript: `\s` is spelled out, since there it has U+FEFF and lacks U+0085; so are letters of
 * either case, of which `s` has a third, `ſ`; and possessive quantifiers, which only save time, are plain ones.
 */

export interface TiktokenEncoding {
  readonly name: string;
  /** Ranks that its file holds. */
  readonly ranks: number;
  readonly pattern: RegExp;
  readonly special: Readonly<Record<string, number>>;
  /** Put before a text. */
  readonly bos?: string;
  readonly eos: string;
  /** Whether its texts are brought into Unicode's composed form first. */
  readonly nfc?: true;
}

const space = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const contraction = "'(?:[sSſdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])";
const ending = `[${space}]*[\\r\\n]+|[${space}]+(?![^${space}])|[${space}]+`;

const gpt2Pattern = new RegExp(
  `'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^${space}\\p{L}\\p{N}]+|[${space}]+(?![^${space}])|[${space}]+`,
  "gu",
);

const patternWithNumbers = (numbers: string) =>
  new RegExp(
    `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^${space}\\p{L}\\p{N}]+[\\r\\n]*|${ending}`,
    "gu",
  );

const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const o200kPattern = new RegExp(
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+(?:${contraction})?|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*(?:${contraction})?|\\p{N}{1,3}| ?[^${space}\\p{L}\\p{N}]+[\\r\\n/]*|${ending}`,
  "gu",
);

const endOfText = "<|endoftext|>";
const fim = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];

export const tiktokenEncodings: readonly TiktokenEncoding[] = [
  {
    ...{ name: "r50k_base", ranks: 50_256, pattern: gpt2Pattern, eos: endOfText },
    special: { [endOfText]: 50_256 },
  },
  {
    ...{ name: "p50k_base", ranks: 50_280, pattern: gpt2Pattern, eos: endOfText },
    special: { [endOfText]: 50_256 },
  },
  {
    ...{ name: "cl100k_base", ranks: 100_256, pattern: patternWithNumbers("\\p{N}{1,3}"), eos: endOfText },
    special: { ...numbered([endOfText, ...fim], 100_257), "<|endofprompt|>": 100_276 },
  },
  {
    ...{ name: "o200k_base", ranks: 199_998, pattern: o200kPattern, eos: endOfText },
    special: { [endOfText]: 199_999, "<|endofprompt|>": 200_018 },
  },
  {
    ...{ name: "Llama 3", ranks: 128_000, pattern: patternWithNumbers("\\p{N}{1,3}") },
    special: numbered(llama3Special(), 128_000),
    bos: "<|begin_of_text|>",
    eos: "<|end_of_text|>",
  },
  {
    ...{ name: "Qwen", ranks: 151_643, pattern: patternWithNumbers("\\p{N}"), eos: endOfText, nfc: true },
    special: numbered(
      [
        ...[endOfText, "<|im_start|>", "<|im_end|>"],
        ...Array.from({ length: 205 }, (_, index) => `<|extra_${index}|>`),
      ],
      151_643,
    ),
  },
];

/** Of Llama 3.1 and later; 3.0 had reserved tokens in some of the places. */
function llama3Special(): string[] {
  const reserved = (index: number) => `<|reserved_special_token_${index}|>`;
  return [
    ...["<|begin_of_text|>", "<|end_of_text|>", reserved(0), reserved(1)],
    ...["<|finetune_right_pad_id|>", reserved(2), "<|start_header_id|>", "<|end_header_id|>"],
    ...["<|eom_id|>", "<|eot_id|>", "<|python_tag|>"],
    ...Array.from({ length: 245 }, (_, index) => reserved(index + 3)),
  ];
}

function numbered(tokens: readonly string[], first: number): Record<string, number> {
  return Object.fromEntries(tokens.map((token, index) => [token, first + index]));
}
