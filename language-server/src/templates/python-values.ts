/** Values of the template language treated as Python treats them. */
import type { Interpreter } from "@huggingface/jinja";

export type RuntimeValue = ReturnType<Interpreter["evaluate"]>;

/** `left == right` */
export function pythonEquals(left: RuntimeValue, right: RuntimeValue): boolean {
  const a = left.value as unknown;
  const b = right.value as unknown;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => pythonEquals(item, b[index] as RuntimeValue));
  }
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    return [...(a as Map<string, RuntimeValue>)].every(([key, value]) => {
      const other = b.get(key) as RuntimeValue | undefined;
      return other !== undefined && pythonEquals(value, other);
    });
  }
  // In Python `True == 1`.
  const number = (value: unknown) => (typeof value === "boolean" ? Number(value) : value);
  return number(a) === number(b);
}

/** `str(value)`; an undefined variable prints as nothing. */
export function pythonStr(value: RuntimeValue): string {
  if (value.type === "UndefinedValue") return "";
  if (value.type === "StringValue") return value.value as string;
  return pythonRepr(value);
}

function pythonRepr(value: RuntimeValue): string {
  switch (value.type) {
    case "StringValue":
      return quote(value.value as string);
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "Undefined";
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "ArrayValue":
      return `[${(value.value as RuntimeValue[]).map(pythonRepr).join(", ")}]`;
    case "TupleValue": {
      const items = (value.value as RuntimeValue[]).map(pythonRepr);
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
    }
    case "ObjectValue":
    case "KeywordArgumentsValue": {
      const entries = [...(value.value as unknown as Map<string, RuntimeValue>)];
      return `{${entries.map(([key, item]) => `${quote(key)}: ${pythonRepr(item)}`).join(", ")}}`;
    }
    default:
      return value.toString();
  }
}

const ESCAPED: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quote(text: string): string {
  const quotes = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = Array.from(text, (character) => {
    const escaped = ESCAPED[character];
    if (escaped !== undefined) return escaped;
    if (character === quotes) return `\\${character}`;
    const code = character.charCodeAt(0);
    return code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, "0")}` : character;
  }).join("");
  return quotes + body + quotes;
}

/** What `str.strip` takes away: unlike JavaScript's `trim`, the information separators but no byte order mark. */
const PYTHON_SPACE = "[[\\s\\x1c-\\x1f\\x85]--[\\ufeff]]";
const LEADING = new RegExp(`^${PYTHON_SPACE}+`, "v");
const SPACE = new RegExp(`^${PYTHON_SPACE}$`, "v");

/** `text.strip()` */
export function pythonStrip(text: string): string {
  const start = LEADING.exec(text)?.[0].length ?? 0;
  let end = text.length;
  while (end > start && SPACE.test(text[end - 1] as string)) end--;
  return text.slice(start, end);
}
