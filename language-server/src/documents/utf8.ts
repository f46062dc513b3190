import { isUtf8 } from "node:buffer";
import type { Finding, Span } from "../text/span";

export interface DecodedText {
  /** The text, a byte order mark kept as U+FEFF and what is not UTF-8 replaced by U+FFFD, as editors show it. */
  readonly text: string;
  /** `invalid-utf8`, in the text's UTF-16 offsets. */
  readonly findings: readonly Finding[];
}

/** Findings of a file that is not UTF-8 at all; one would do. */
const maxFindings = 1000;

/** Decodes a file's bytes and says where they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): DecodedText {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (isUtf8(bytes)) return { text, findings: [] };
  const wide = utf16Mark(bytes);
  if (wide) return { text, findings: [wholeFile(text, `This file is ${wide}; save it as UTF-8.`)] };
  const faults = invalidBytes(bytes, text);
  const first = faults[0]?.span;
  const other = first && otherEncoding(bytes);
  if (first && other) {
    const message = `This file is not UTF-8 (it may be ${other}); save it as UTF-8.`;
    return { text, findings: [{ rule: "invalid-utf8", span: first, message }] };
  }
  return { text, findings: faults.map((fault) => ofBytes(fault, bytes)) };
}

/** More bytes than these are not spelt out. */
const shownBytes = 4;

function ofBytes({ span, start, end }: InvalidBytes, bytes: Uint8Array): Finding {
  const hex = [...bytes.subarray(start, Math.min(end, start + shownBytes))].map((byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  const what = end - start === 1 ? `The byte ${hex[0]} is` : `The bytes ${hex.join(" ")} are`;
  const message = `${what} not UTF-8; save the file as UTF-8. Readers refuse it, or put U+FFFD there.`;
  return { rule: "invalid-utf8", span, message };
}

function wholeFile(text: string, message: string): Finding {
  return { rule: "invalid-utf8", span: { start: 0, end: Math.min(1, text.length) }, message };
}

/** The encoding that a byte order mark speaks of. */
export function utf16Mark(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "UTF-16 (little endian)";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "UTF-16 (big endian)" : undefined;
}

/** Encodings of Chinese text, in which a whole file decodes without fault only if it is in them. */
const chinese = [
  ["big5", "Big5"],
  ["gb18030", "GB 18030"],
] as const;

function otherEncoding(bytes: Uint8Array): string | undefined {
  for (const [label, name] of chinese) {
    try {
      const text = new TextDecoder(label, { fatal: true }).decode(bytes);
      // A stray byte may decode as anything; Chinese text is full of the commonest characters.
      if ((text.match(/[的是一不了在有我人你]/g)?.length ?? 0) >= 2) return name;
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

interface InvalidBytes {
  /** Of the text. */
  span: Span;
  /** The first byte, and the one after the last. */
  start: number;
  end: number;
}

/** Where the decoder put U+FFFD for bytes; a U+FFFD that the file really holds is three good bytes. */
function invalidBytes(bytes: Uint8Array, text: string): InvalidBytes[] {
  const faults: InvalidBytes[] = [];
  let byte = 0;
  for (let at = 0; at < text.length && faults.length < maxFindings; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0xfffd && !(bytes[byte] === 0xef && bytes[byte + 1] === 0xbf && bytes[byte + 2] === 0xbd)) {
      const start = byte;
      byte += invalidLength(bytes, byte);
      const last = faults.at(-1);
      if (last?.span.end === at) {
        last.span = { start: last.span.start, end: at + 1 };
        last.end = byte;
      } else faults.push({ span: { start: at, end: at + 1 }, start, end: byte });
    } else if (unit < 0x80) byte += 1;
    else if (unit < 0x800) byte += 2;
    else if (unit >= 0xd800 && unit <= 0xdbff) {
      byte += 4;
      at++;
    } else byte += 3;
  }
  return faults;
}

/** Bytes that the decoder replaces by one U+FFFD: the longest beginning of a character, at least one byte (WHATWG). */
function invalidLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  const needed =
    lead >= 0xc2 && lead <= 0xdf
      ? 1
      : lead >= 0xe0 && lead <= 0xef
        ? 2
        : lead >= 0xf0 && lead <= 0xf4
          ? 3
          : 0;
  let length = 1;
  while (length <= needed) {
    const next = bytes[at + length] ?? 0;
    const low = length > 1 ? 0x80 : lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = length > 1 ? 0xbf : lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (next < low || next > high) break;
    length++;
  }
  return length;
}
