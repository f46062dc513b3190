/** Code units compared at once; slices of one flat string cost nothing, and comparing them is `memcmp`. */
const block = 32_768;

/** How many code units two texts share at the beginning and, after that, at the end. Together never more than either has. */
export function commonEnds(before: string, after: string): { prefix: number; suffix: number } {
  const shorter = Math.min(before.length, after.length);
  let prefix = 0;
  while (
    prefix + block <= shorter &&
    before.slice(prefix, prefix + block) === after.slice(prefix, prefix + block)
  ) {
    prefix += block;
  }
  while (prefix < shorter && before.charCodeAt(prefix) === after.charCodeAt(prefix)) prefix++;

  const most = shorter - prefix;
  const [b, a] = [before.length, after.length];
  let suffix = 0;
  while (
    suffix + block <= most &&
    before.slice(b - suffix - block, b - suffix) === after.slice(a - suffix - block, a - suffix)
  ) {
    suffix += block;
  }
  while (suffix < most && before.charCodeAt(b - suffix - 1) === after.charCodeAt(a - suffix - 1)) suffix++;
  return { prefix, suffix };
}
