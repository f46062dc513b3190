import type { ComparedToken } from "../../../language-server/src/protocol";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** What a token stands for, to be read: its characters, or its bytes where it is less than one. Spaces are made visible. */
export function readable({ token, kind, bytes }: ComparedToken): string {
  if (kind === "special" || bytes === "") return token;
  const values = Uint8Array.from(bytes.split(" "), (byte) => Number.parseInt(byte, 16));
  try {
    return visible(utf8.decode(values));
  } catch {
    return bytes.toUpperCase();
  }
}

/** Spaces and line breaks as the marks that editors draw for them. */
export function visible(text: string): string {
  return text.replaceAll(" ", "·").replaceAll("\t", "→").replaceAll("\r", "␍").replaceAll("\n", "↵");
}
