import type { Span } from "../text/span";

/**
 * Which tokens carry loss, given the stretches of the text that do.
 *
 * From the first token that has a character in a stretch to the last, all of them do: a token that reaches over a stretch's
 * edge counts, and so does one without characters between two that count. This is how `transformers` turns
 * `{% generation %}` into `assistant_masks`.
 *
 * @param spans of the tokens, pairs of start and end, ascending
 * @param lossSpans ascending and disjoint, in offsets of the same text
 * @returns 1 for a token whose prediction carries loss
 */
export function lossMaskOf(spans: Uint32Array, lossSpans: readonly Span[]): Uint8Array {
  const count = spans.length / 2;
  const mask = new Uint8Array(count);
  let token = 0;
  for (const { start, end } of lossSpans) {
    // A token reaching over the edge between two stretches belongs to both.
    while (token > 0 && (spans[2 * token - 1] as number) > start) token--;
    while (token < count && (spans[2 * token + 1] as number) <= start) token++;
    let last = token - 1;
    for (let next = token; next < count && (spans[2 * next] as number) < end; next++) {
      if ((spans[2 * next + 1] as number) > (spans[2 * next] as number)) last = next;
    }
    mask.fill(1, token, last + 1);
    token = last + 1;
  }
  return mask;
}
