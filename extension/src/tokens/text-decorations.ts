import type { Range, TextTokens } from "../../../language-server/src/protocol";

/** Places of tokens by how they are drawn. */
export interface DrawnTokens {
  even: Range[];
  odd: Range[];
  special: Range[];
  byte: Range[];
}

/** Neighbouring places take turns in the colour of their background. */
export function drawnTokens({ spans, odd, bytes, special }: TextTokens): DrawnTokens {
  const drawn: DrawnTokens = { even: [], odd: [], special: [], byte: [] };
  const [isByte, isSpecial] = [new Set(bytes), new Set(special)];
  for (let place = 0; 5 * place < spans.length; place++) {
    const [line = 0, character = 0, endLine = 0, endCharacter = 0] = spans.slice(5 * place, 5 * place + 4);
    const range = { start: { line, character }, end: { line: endLine, character: endCharacter } };
    drawn[(place + Number(odd)) % 2 === 0 ? "even" : "odd"].push(range);
    // A line break has no box that could be drawn around it.
    if (isByte.has(place) && line === endLine) drawn.byte.push(range);
    if (isSpecial.has(place)) drawn.special.push(range);
  }
  return drawn;
}

/** `34 tokens` for one tokenizer, `llama2 34 · gemma 31` for several; those that have not answered are left out. */
export function countLabel(
  counts: readonly { name: string; count: number | undefined }[],
  format: (count: number) => string,
  alone: (count: string) => string,
): string {
  const known = counts.flatMap(({ name, count }) => (count === undefined ? [] : [{ name, count }]));
  const [first] = known;
  if (counts.length === 1) return first === undefined ? "" : alone(format(first.count));
  return known.map(({ name, count }) => `${name} ${format(count)}`).join(" · ");
}
