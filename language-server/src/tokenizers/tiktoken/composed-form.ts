/** Unicode's composed form (NFC), with where each of its UTF-16 units comes from. */
export interface Composed {
  readonly text: string;
  /** As long as `text`, plus its end. */
  readonly origins: Uint32Array;
}

/** Characters that may be composed with the one before: marks, vowels and finals of Hangul and of Kirat Rai. */
const stretch = /[\s\S][\p{M}\u1160-\u11ff\u{16d40}-\u{16d7f}]*/gu;

export function compose(text: string): Composed | undefined {
  const composed = text.normalize("NFC");
  if (composed === text) return undefined;
  const origins: number[] = [];
  let rebuilt = "";
  for (const { 0: given, index } of text.matchAll(stretch)) {
    const written = given.normalize("NFC");
    rebuilt += written;
    // What is left alone keeps its places; what is not comes from its stretch.
    for (let at = 0; at < written.length; at++) origins.push(written === given ? index + at : index);
  }
  origins.push(text.length);
  return { text: rebuilt, origins: Uint32Array.from(origins) };
}
