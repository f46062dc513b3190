/**
 * GPT-2's alphabet: printable Latin-1 characters stand for the byte of their own code, the other 68 bytes for U+0100 and
 * on, in order.
 */
const byteOfCharacter = new Map<string, number>();
for (let byte = 0, next = 0x100; byte < 256; byte++) {
  const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  byteOfCharacter.set(String.fromCharCode(printable ? byte : next++), byte);
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Whether a token of a byte-level vocabulary holds a part of a character, so that it cannot be read alone. */
export function isPartOfCharacter(token: string): boolean {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return false;
    bytes.push(byte);
  }
  try {
    strictUtf8.decode(Uint8Array.from(bytes));
    return false;
  } catch {
    return true;
  }
}
