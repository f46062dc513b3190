import { distance } from "fastest-levenshtein";

/** The candidate that was probably meant: a few typing mistakes away, or the same words in another spelling. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const plain = normalised(word);
  if (plain.length === 0 || word.length > 100) return null;
  let best: string | null = null;
  let least = Math.max(1, Math.floor(plain.length * 0.34)) + 1;
  for (const candidate of candidates) {
    const other = normalised(candidate);
    // Letters in the wrong order are one mistake, not two.
    const away =
      sorted(plain) === sorted(other) ? Math.min(1, distance(plain, other)) : distance(plain, other);
    if (away < least) {
      least = away;
      best = candidate;
    }
  }
  return best;
}

/** `maxLength`, `max-length` and `max_length` are one word. */
function normalised(word: string): string {
  return word.toLowerCase().replace(/[-_.\s]/g, "");
}

function sorted(word: string): string {
  return [...word].sort().join("");
}
