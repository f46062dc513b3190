export interface AddedTokenEntry {
  id: number;
  content: string;
  special: boolean;
  singleWord: boolean;
  leftStrip: boolean;
  rightStrip: boolean;
  normalized: boolean;
}

/** What is to be known of a vocabulary besides its tokens. */
export interface VocabularyFacts {
  readonly addedTokens: AddedTokenEntry[];
  /** Characters outside the vocabulary become tokens `<0x00>` … `<0xFF>`. */
  readonly byteFallback: boolean;
  /** Every token is a run of bytes, written in the 256 printable characters of GPT-2's alphabet. */
  readonly byteLevel: boolean;
  /** The token that stands for characters which the vocabulary cannot express. */
  readonly unknown: string | undefined;
}
