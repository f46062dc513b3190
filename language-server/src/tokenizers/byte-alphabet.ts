/**
 * GPT-2's alphabet: printable Latin-1 characters stand for the byte of their own code, the other 68 bytes for U+0100 and
 * on, in order.
 */
const byteOfCharacter = new Map<string, number>();
const characterOfByte: string[] = [];
for (let byte = 0, next = 0x100; byte < 256; byte++) {
  const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  const character = String.fromCharCode(printable ? byte : next++);
  byteOfCharacter.set(character, byte);
  characterOfByte.push(character);
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes as a byte-level vocabulary writes them. */
export function inByteAlphabet(bytes: Uint8Array): string {
  let token = "";
  for (const byte of bytes) token += characterOfByte[byte];
  return token;
}

/** The bytes of a token of a byte-level vocabulary; undefined for one that is not written in the alphabet. */
export function bytesInAlphabet(token: string): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return undefined;
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Whether a token of a byte-level vocabulary holds a part of a character, so that it cannot be read alone. */
export function isPartOfCharacter(token: string): boolean {
  const bytes = bytesInAlphabet(token);
  if (!bytes) return false;
  try {
    strictUtf8.decode(bytes);
    return false;
  } catch {
    return true;
  }
}
