const longest = 80;

/** A value as a message shows it: whoever wrote a whole page there knows the rest. */
export function shortened(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
