import type { Span } from "../text/span";

/**
 * Document offset of every UTF-16 unit of a decoded JSON string, then of its end.
 *
 * `span` is the literal without its quotes. Undefined when nothing is escaped: unit i then stands at span.start + i.
 */
export function escapeOffsets(text: string, span: Span): Uint32Array | undefined {
  if (text.slice(span.start, span.end).indexOf("\\") < 0) return undefined;
  const offsets = new Uint32Array(span.end - span.start + 1);
  let units = 0;
  let at = span.start;
  while (at < span.end) {
    offsets[units++] = at;
    if (text.charCodeAt(at) !== backslash) at++;
    else at += text.charCodeAt(at + 1) === letterU ? 6 : 2;
  }
  offsets[units++] = span.end;
  return offsets.subarray(0, units);
}

const backslash = 92;
const letterU = 117;

/** What is wrong inside a string literal that a JSON scanner refused; the span is the refused characters. */
export interface LiteralFault {
  span: Span;
  message: string;
  /** Replaces the span. */
  repair?: { title: string; newText: string };
}

/** Finds the first control character or wrong escape of a literal; `span` includes its quotes. */
export function literalFault(text: string, span: Span): LiteralFault | undefined {
  for (let at = span.start + 1; at < span.end; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x20) return controlCharacter(at, unit);
    if (unit !== backslash) continue;
    const escaped = text.charAt(at + 1);
    if (escaped === "u") {
      const digits = /^[0-9a-fA-F]{0,4}/.exec(text.slice(at + 2, Math.min(at + 6, span.end)))?.[0] ?? "";
      if (digits.length < 4) {
        return {
          span: { start: at, end: Math.min(at + 2 + digits.length, span.end) },
          message: "A `\\u` escape needs four hexadecimal digits.",
          repair: { title: "Escape the backslash", newText: `\\${text.slice(at, at + 2 + digits.length)}` },
        };
      }
      at += 5;
    } else if (!'"\\/bfnrt'.includes(escaped) || escaped === "") {
      const end = Math.min(at + 2, span.end);
      return {
        span: { start: at, end },
        message: `\`\\${escaped}\` is no JSON escape. Write \`\\\\\` for a backslash.`,
        repair: { title: "Escape the backslash", newText: `\\${text.slice(at, end)}` },
      };
    } else at++;
  }
  return undefined;
}

function controlCharacter(at: number, unit: number): LiteralFault {
  const newText = unit === 9 ? "\\t" : `\\u${unit.toString(16).padStart(4, "0")}`;
  const name = unit === 9 ? "A tab" : unit === 0 ? "A NUL character" : `The control character U+${hex(unit)}`;
  return {
    span: { start: at, end: at + 1 },
    message: `${name} may not stand in a JSON string as it is. Write \`${newText}\`.`,
    repair: { title: `Replace with \`${newText}\``, newText },
  };
}

const hex = (unit: number): string => unit.toString(16).toUpperCase().padStart(4, "0");

/** `String.prototype.isWellFormed` is in Node 20 but not in the ES2023 library's types. */
interface WellFormed {
  isWellFormed(): boolean;
}

/** Indices of the surrogates of a string that belong to no pair. */
export function loneSurrogates(value: string): number[] {
  if ((value as unknown as WellFormed).isWellFormed()) return [];
  const found: number[] = [];
  for (let at = 0; at < value.length; at++) {
    const unit = value.charCodeAt(at);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = value.charCodeAt(at + 1);
    if (unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) at++;
    else found.push(at);
  }
  return found;
}
