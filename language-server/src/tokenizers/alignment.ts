/**
 * The columns in which several tokenizers' tokens of one text stand above each other: the smallest stretches of the text
 * that begin and end together in all of them.
 */
export interface Alignment {
  /** Column c is the text from `boundaries[c]` to `boundaries[c + 1]`, in UTF-16 units. */
  readonly boundaries: Uint32Array;
  /** For every tokenizer: column c has its tokens from `tokens[c]` to `tokens[c + 1]`, exclusive. */
  readonly tokens: readonly Uint32Array[];
}

/**
 * @param spans of each tokenizer, start and end of every token, as `Encoded.spans`; starts and ends never go back
 * @param length of the text, in UTF-16 units
 */
export function align(spans: readonly Uint32Array[], length: number): Alignment {
  let common: Uint32Array | undefined;
  for (const each of spans)
    common = common ? intersection(common, endsOf(each, length)) : endsOf(each, length);
  const ends = common ?? (length > 0 ? Uint32Array.of(length) : new Uint32Array(0));
  const boundaries = new Uint32Array(ends.length + 1);
  boundaries.set(ends, 1);
  return { boundaries, tokens: spans.map((each) => firstTokens(each, boundaries)) };
}

/** Where no token reaches over: ascending, the text's end last. */
function endsOf(spans: Uint32Array, length: number): Uint32Array {
  const ends = new Uint32Array(spans.length / 2 + 1);
  let count = 0;
  let end = 0;
  for (let index = 0; index < spans.length; index += 2) {
    const start = spans[index] as number;
    // What a normaliser has left out between two tokens belongs to the first.
    if (start >= end && start > 0 && start < length && ends[count - 1] !== start) ends[count++] = start;
    end = Math.max(end, spans[index + 1] as number);
  }
  if (length > 0) ends[count++] = length;
  return ends.slice(0, count);
}

function intersection(first: Uint32Array, second: Uint32Array): Uint32Array {
  const both = new Uint32Array(Math.min(first.length, second.length));
  let count = 0;
  for (let left = 0, right = 0; left < first.length && right < second.length; ) {
    const difference = (first[left] as number) - (second[right] as number);
    if (difference === 0) both[count++] = first[left] as number;
    if (difference <= 0) left++;
    if (difference >= 0) right++;
  }
  return both.slice(0, count);
}

/** For every column the first token that belongs to it, and after the last their number. */
function firstTokens(spans: Uint32Array, boundaries: Uint32Array): Uint32Array {
  const first = new Uint32Array(boundaries.length);
  const count = spans.length / 2;
  let token = 0;
  for (let column = 1; column < boundaries.length; column++) {
    const isLast = column === boundaries.length - 1;
    const end = boundaries[column] as number;
    while (token < count && (isLast || (spans[2 * token] as number) < end)) token++;
    first[column] = token;
  }
  return first;
}
