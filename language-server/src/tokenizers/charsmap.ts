/** As `checkCharsmap`, of a map in base64, as `tokenizer.json` has it. */
export function checkPrecompiledCharsmap(base64: string): string | undefined {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.toString("base64") !== base64) return "it is not base64";
  return checkCharsmap(bytes);
}

/**
 * Checks a SentencePiece character map (`precompiled_charsmap`): a little-endian u32 with the byte size of a double-array
 * trie (Darts-clone's u32 units), the trie, then the NUL-separated replacements in UTF-8. Readers follow the trie without
 * looking where it leads.
 *
 * @returns what is wrong, or undefined
 */
export function checkCharsmap(bytes: Uint8Array): string | undefined {
  if (bytes.length < 4) return "it is shorter than its header";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = view.getUint32(0, true);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4) {
    return `its trie of ${trieBytes} bytes does not fit into ${bytes.length}`;
  }
  const units = trieBytes / 4;
  const replacements = bytes.subarray(4 + trieBytes);
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(replacements);
  } catch {
    return "its replacements are not UTF-8";
  }
  for (let index = 0; index < units; index++) {
    const unit = view.getUint32(4 + 4 * index, true);
    if (unit >>> 31) {
      const at = unit & 0x7fffffff;
      const byte = replacements[at];
      if (byte === undefined || (byte & 0xc0) === 0x80) return `unit ${index} leads outside its replacements`;
    } else {
      const offset = (unit >>> 10) << ((unit & 0x200) >>> 6);
      // Any byte may be looked up from here; 0 is the leaf.
      if (((index ^ offset) | 255) >= units) return `unit ${index} leads outside its trie`;
    }
  }
  return undefined;
}
