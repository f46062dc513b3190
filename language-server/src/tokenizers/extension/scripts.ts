/** Unicode scripts that a vocabulary can be extended with, and which characters belong to them. */

/**
 * Scripts of living languages, by Unicode's names. Latin is not among them: appended tokens of the base language's script
 * would change how that is tokenised.
 */
export const scriptNames = [
  "Adlam",
  "Arabic",
  "Armenian",
  "Balinese",
  "Bengali",
  "Bopomofo",
  "Canadian_Aboriginal",
  "Cherokee",
  "Cyrillic",
  "Devanagari",
  "Ethiopic",
  "Georgian",
  "Greek",
  "Gujarati",
  "Gurmukhi",
  "Han",
  "Hangul",
  "Hebrew",
  "Hiragana",
  "Javanese",
  "Kannada",
  "Katakana",
  "Khmer",
  "Lao",
  "Malayalam",
  "Meetei_Mayek",
  "Mongolian",
  "Myanmar",
  "Nko",
  "Ol_Chiki",
  "Oriya",
  "Sinhala",
  "Sundanese",
  "Syriac",
  "Tamil",
  "Telugu",
  "Thaana",
  "Thai",
  "Tibetan",
  "Tifinagh",
  "Vai",
  "Yi",
] as const;

export type ScriptName = (typeof scriptNames)[number];

/** Written with full-width punctuation. */
const eastAsian: ReadonlySet<ScriptName> = new Set([
  "Bopomofo",
  "Han",
  "Hangul",
  "Hiragana",
  "Katakana",
  "Yi",
]);

/** First and last code point. */
export type CodePointRange = readonly [first: number, last: number];

export interface ScriptCharacters {
  /** Letters, marks and numbers of the scripts: tokens are made of them. */
  readonly characters: readonly CodePointRange[];
  /** Their punctuation and signs: each is a token of its own. */
  readonly punctuation: readonly CodePointRange[];
}

/**
 * The characters of some scripts, by Unicode's Script_Extensions, for East Asian scripts with the full-width forms. What the
 * Latin script uses, too, is left out, so that text in it has no such character.
 */
export function charactersOf(scripts: readonly ScriptName[]): ScriptCharacters {
  const inScripts = new RegExp(`[${scripts.map((name) => `\\p{Script_Extensions=${name}}`).join("")}]`, "u");
  const isEastAsian = scripts.some((name) => eastAsian.has(name));
  const belongs = (character: string) =>
    (inScripts.test(character) || (isEastAsian && /[\uff01-\uff65\uffe0-\uffee]/u.test(character))) &&
    !/[\p{Script_Extensions=Latin}\p{ASCII}\p{White_Space}\p{Default_Ignorable_Code_Point}]/u.test(character);
  return {
    characters: rangesOf((character) => belongs(character) && /[\p{L}\p{M}\p{Nl}]/u.test(character)),
    punctuation: rangesOf((character) => belongs(character) && /[\p{P}\p{S}\p{Nd}\p{No}]/u.test(character)),
  };
}

function rangesOf(holds: (character: string) => boolean): CodePointRange[] {
  const ranges: [number, number][] = [];
  for (let code = 0x80; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    if (!holds(String.fromCodePoint(code))) continue;
    const last = ranges.at(-1);
    if (last?.[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  return ranges;
}

/** Tells whether a character lies in some ranges, ascending. */
export function isWithin(ranges: readonly CodePointRange[]): (character: string) => boolean {
  return (character) => {
    const code = character.codePointAt(0) ?? 0;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ranges[middle] as CodePointRange)[1] < code) low = middle + 1;
      else high = middle;
    }
    return low < ranges.length && (ranges[low] as CodePointRange)[0] <= code;
  };
}
