import { ContentMap } from "../datasets/json-string";
import type { RowToken, RowTokens } from "../protocol";
import type { LineIndex } from "../text/line-index";
import type { Span } from "../text/span";
import type { EncodedExample } from "./example";
import type { LoadedTokenizer } from "./tokenizer";

export interface RowPlace {
  /** Of the whole dataset document. */
  readonly lines: LineIndex;
  /** The row's number, from 0, and where it stands. */
  readonly row: number;
  readonly span: Span;
}

/**
 * An encoded row as the editor shows it: every token that has characters of the document, at those characters.
 *
 * A token that reaches from the template's text into a content is shown on the content's part; one that reaches over two of
 * the document's strings, on the first. Tokens that `max_length` cuts off are counted, but not listed.
 */
export function rowTokens(
  encoded: EncodedExample,
  { lines, row, span }: RowPlace,
  tokenizer: LoadedTokenizer,
  names: { tokenizer: string; template: string },
): RowTokens {
  const places = documentPlaces(encoded, lines.text);
  const tokens: RowToken[] = [];
  for (const [index, id] of encoded.ids.entries()) {
    const place = places[index];
    if (!place) continue;
    tokens.push({
      range: lines.rangeOf(place),
      id,
      token: tokenizer.token(id),
      supervised: encoded.lossMask[index] === 1,
      kind: tokenizer.kind(id),
    });
  }
  return {
    row,
    range: lines.rangeOf(span),
    count: encoded.count,
    supervised: encoded.supervised,
    ...(encoded.cut
      ? { cut: { max_length: encoded.cut.maxLength, supervised_lost: encoded.cut.supervisedLost } }
      : {}),
    tokens,
    template_tokens: encoded.ids.length - tokens.length,
    ...names,
  };
}

/** For every token the stretch of the document it was made from; undefined for the template's own. */
export function documentPlaces(encoded: EncodedExample, document: string): (Span | undefined)[] {
  const contents = encoded.contents.map(({ content, ...place }) => ({
    ...place,
    map: new ContentMap(document, content),
  }));
  let first = 0;
  return Array.from(encoded.ids, (_, index) => {
    const start = encoded.spans[2 * index] as number;
    const end = encoded.spans[2 * index + 1] as number;
    while (first < contents.length && (contents[first]?.end ?? 0) <= start) first++;
    const content = contents[first];
    if (!content || content.start >= end || start >= end) return undefined;
    const shift = content.contentStart - content.start;
    const [span] = content.map.spans(
      Math.max(start, content.start) + shift,
      Math.min(end, content.end) + shift,
    );
    return span;
  });
}
