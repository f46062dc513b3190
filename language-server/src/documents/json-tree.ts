import { createScanner, type JSONScanner } from "jsonc-parser";
import type { Finding, FindingFix, Span } from "../text/span";
import { escapeOffsets, literalFault, loneSurrogates } from "./json-literal";

/** A parsed JSON value; every node is the span it stands on (a string's includes its quotes). */
export type JsonNode = JsonObject | JsonArray | JsonString | JsonNumber | JsonBoolean | JsonNull;

export interface JsonObject extends Span {
  readonly type: "object";
  readonly properties: readonly JsonProperty[];
}
export interface JsonArray extends Span {
  readonly type: "array";
  readonly items: readonly JsonNode[];
}
export interface JsonString extends Span {
  readonly type: "string";
  readonly value: string;
}
export interface JsonNumber extends Span {
  readonly type: "number";
  readonly value: number;
}
export interface JsonBoolean extends Span {
  readonly type: "boolean";
  readonly value: boolean;
}
export interface JsonNull extends Span {
  readonly type: "null";
  readonly value: null;
}
export interface JsonProperty {
  readonly key: JsonString;
  /** Undefined only in the tree of a text that ends or breaks before it. */
  readonly value: JsonNode | undefined;
}

/** The last property with this key, as every JSON reader takes it. */
export function property(object: JsonObject, key: string): JsonProperty | undefined {
  return object.properties.findLast((candidate) => candidate.key.value === key);
}

/** A string's characters without its quotes. */
export function innerSpan({ start, end }: JsonString): Span {
  return { start: start + 1, end: end - 1 };
}

/** The plain JavaScript value. Trees are at most `maxDepth` deep, so recursion is safe. */
export function plainValue(node: JsonNode): unknown {
  if (node.type === "array") return node.items.map(plainValue);
  if (node.type !== "object") return node.value;
  const entries = node.properties.map(({ key, value }) => [key.value, value && plainValue(value)] as const);
  return Object.fromEntries(entries);
}

/** Levels of brackets; readers written in Python give up at about as many. */
export const maxDepth = 1000;
/** Values of one row; bounds the memory of a row that is no row, such as 100 MB of brackets. */
export const maxNodes = 1_000_000;

/** Findings of one row besides its syntax error; a row of rubbish has millions. */
const maxFindings = 1000;

const tooDeep = `Nested deeper than ${maxDepth.toLocaleString("en")} levels, where readers written in Python give up.`;

function tooManyNodes(start: number): Finding {
  return {
    rule: "length-over-limit",
    span: { start, end: start + 1 },
    message: `This row holds more than ${maxNodes.toLocaleString("en")} values and is not checked further.`,
  };
}

export interface ParsedJson {
  /** The value; undefined when the text breaks before it is complete. */
  node: JsonNode | undefined;
  /** What was read of a broken value. */
  partial: JsonNode | undefined;
  /** Just past the value, or where it breaks. */
  end: number;
  /** At most one `json-syntax`; `duplicate-key` and `lone-surrogate` besides. */
  findings: Finding[];
}

/** jsonc-parser's token kinds and scan errors by name; its own const enums cannot be imported file by file. */
const token = {
  openBrace: 1,
  closeBrace: 2,
  openBracket: 3,
  closeBracket: 4,
  comma: 5,
  colon: 6,
  null: 7,
  true: 8,
  false: 9,
  string: 10,
  number: 11,
  lineComment: 12,
  blockComment: 13,
  lineBreak: 14,
  trivia: 15,
  eof: 17,
} as const;
const scanError = { endOfString: 2 } as const;

type Open =
  | (JsonObject & { properties: JsonProperty[]; end: number })
  | (JsonArray & { items: JsonNode[]; end: number });
const closingOf = (node: JsonObject | JsonArray): number =>
  node.type === "object" ? token.closeBrace : token.closeBracket;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads the JSON values of one text. Without recursion: no nesting overflows the stack. */
export class JsonParser {
  readonly #scanner: JSONScanner;
  /** End of the token before the current one. */
  #previousEnd = 0;
  #limit = 0;
  #kind: number = token.eof;
  #start = 0;
  #end = 0;

  constructor(readonly text: string) {
    this.#scanner = createScanner(text, false);
  }

  /** Reads the value that begins at or after `start`; the text is taken to end at `limit`. */
  parse(start: number, limit = this.text.length): ParsedJson {
    this.moveTo(start, limit);
    const findings: Finding[] = [];
    const stack: Open[] = [];
    let root: JsonNode | undefined;
    let nodes = 0;
    const fail = (finding: Finding): ParsedJson => {
      for (const open of stack) open.end = this.#start;
      findings.push(finding);
      return { node: undefined, partial: root, end: this.#start, findings };
    };

    for (;;) {
      const open = stack.at(-1);
      let pending: Writable<JsonProperty> | undefined;
      if (open?.type === "object") {
        if (!this.#is(token.string)) return fail(this.#expected("a key in double quotes", open));
        const fault = this.#scanFault();
        if (fault) return fail(fault);
        pending = { key: this.#string(findings), value: undefined };
        open.properties.push(pending);
        this.#next();
        if (!this.#is(token.colon)) return fail(this.#expected("`:` after the key", open));
        this.#next();
      }
      const node = this.#value(findings, open);
      if ("rule" in node) return fail(node);
      if (++nodes > maxNodes) return fail(tooManyNodes(start));
      if (pending) pending.value = node;
      else if (open?.type === "array") open.items.push(node);
      else root = node;

      if (node.type === "object" || node.type === "array") {
        if (stack.push(node as Open) > maxDepth) return fail(this.#fault(tooDeep));
        this.#next();
        if (this.#kind !== closingOf(node)) continue;
      } else {
        this.#previousEnd = this.#end;
        this.#next();
      }
      const wrong = this.#separate(stack, findings);
      if (wrong) return fail(wrong);
      if (stack.length === 0) return { node: root, partial: root, end: this.#previousEnd, findings };
    }
  }

  /** Puts the scanner on the first token at or after `start`. */
  moveTo(start: number, limit = this.text.length): void {
    this.#limit = limit;
    this.#scanner.setPosition(start);
    this.#next();
  }

  /** The current token's first character, or undefined at the end of the text. */
  peek(): string | undefined {
    return this.#kind === token.eof ? undefined : this.text[this.#start];
  }

  get tokenSpan(): Span {
    return { start: this.#start, end: this.#end };
  }

  #is(kind: number): boolean {
    return this.#kind === kind;
  }

  #next(): void {
    do {
      this.#kind = this.#scanner.scan();
    } while (this.#kind === token.trivia || this.#kind === token.lineBreak);
    this.#start = this.#scanner.getTokenOffset();
    this.#end = this.#start + this.#scanner.getTokenLength();
    if (this.#kind === token.eof || this.#start >= this.#limit) {
      this.#kind = token.eof;
      this.#start = this.#limit;
      this.#end = this.#limit;
    } else this.#end = Math.min(this.#end, this.#limit);
  }

  /** After a value: a comma and something to follow, or closing brackets. */
  #separate(stack: Open[], findings: Finding[]): Finding | undefined {
    for (let open = stack.at(-1); open; open = stack.at(-1)) {
      const closing = closingOf(open);
      if (this.#kind === closing) {
        if (open.type === "object") reportDuplicateKeys(open, findings);
        stack.pop();
        open.end = this.#end;
        this.#previousEnd = this.#end;
        if (stack.length > 0) this.#next();
        continue;
      }
      if (this.#kind !== token.comma) {
        return this.#expected(open.type === "object" ? "`,` or `}`" : "`,` or `]`", open);
      }
      const comma = this.tokenSpan;
      this.#next();
      if (this.#kind === closing) return trailingComma(comma);
      return undefined;
    }
    return undefined;
  }

  #value(findings: Finding[], open: Open | undefined): JsonNode | Finding {
    const start = this.#start;
    const end = this.#end;
    switch (this.#kind) {
      case token.openBrace:
        return { type: "object", start, end, properties: [] };
      case token.openBracket:
        return { type: "array", start, end, items: [] };
      case token.string:
        return this.#scanFault() ?? this.#string(findings);
      case token.number:
        if (this.#scanner.getTokenError() !== 0) return this.#fault("This number is not complete.");
        return { type: "number", start, end, value: Number(this.text.slice(start, end)) };
      case token.true:
      case token.false:
        return { type: "boolean", start, end, value: this.#kind === token.true };
      case token.null:
        return { type: "null", start, end, value: null };
      default:
        return this.#expected("a value", open);
    }
  }

  #string(findings: Finding[]): JsonString {
    const value = this.#scanner.getTokenValue();
    const node: JsonString = { type: "string", start: this.#start, end: this.#end, value };
    const lone = loneSurrogates(node.value);
    if (lone.length > 0 && findings.length < maxFindings) {
      const inner = innerSpan(node);
      const offsets = escapeOffsets(this.text, inner);
      const spans = lone.slice(0, maxFindings).map((unit) => {
        const start = offsets?.[unit] ?? inner.start + unit;
        return { start, end: offsets?.[unit + 1] ?? start + 1 };
      });
      for (const span of spans) findings.push(loneSurrogate(span, this.text));
    }
    return node;
  }

  /** What is wrong with the current string token. */
  #scanFault(): Finding | undefined {
    const error = this.#scanner.getTokenError();
    if (error === 0) return undefined;
    if (error !== scanError.endOfString) {
      const fault = literalFault(this.text, this.tokenSpan);
      if (fault) {
        const fix = fault.repair && {
          title: fault.repair.title,
          edits: [{ span: fault.span, newText: fault.repair.newText }],
        };
        return {
          rule: "json-syntax",
          span: fault.span,
          message: fault.message,
          ...(fix && { fixes: [fix] }),
        };
      }
    }
    const { start, end } = this.tokenSpan;
    const beginning = this.text.slice(start, Math.min(end, start + 24));
    return syntax(
      { start: end - 1, end },
      `The string \`${beginning}${end > start + 24 ? "…" : ""}\` is not closed: \`"\` is missing, or a line break is not written as \`\\n\`.`,
    );
  }

  #fault(message: string): Finding {
    return syntax(this.tokenSpan, message);
  }

  /** The current token is not what the grammar wants here. */
  #expected(wanted: string, open?: Open): Finding {
    const { start, end } = this.tokenSpan;
    if (this.#kind === token.eof) {
      const last = lastSolid(this.text, start);
      const missing = open ? `; \`${open.type === "object" ? "}" : "]"}\` is missing` : "";
      return syntax(
        { start: last, end: Math.max(last + 1, Math.min(start, last + 1)) },
        `The row ends here${missing}. Expected ${wanted}.`,
      );
    }
    const word = this.text.slice(start, Math.min(end, start + 40));
    if (this.#kind === token.lineComment || this.#kind === token.blockComment) {
      return syntax({ start, end: start + 2 }, "JSON has no comments.");
    }
    if (word === "," || word === "}" || word === "]" || word === ":" || word === "{" || word === "[") {
      return syntax({ start, end: start + 1 }, `Expected ${wanted}, found \`${word}\`.`);
    }
    const replacement = pythonLiterals.get(word);
    if (replacement !== undefined) {
      return syntax({ start, end }, `\`${word}\` is not JSON; write \`${replacement}\`.`, {
        title: `Replace with \`${replacement}\``,
        edits: [{ span: { start, end }, newText: replacement }],
      });
    }
    if (word.startsWith("'")) {
      return syntax({ start, end: start + 1 }, "JSON strings stand in double quotes.");
    }
    if (wanted.startsWith("`,`") && this.text[this.#scanner.getTokenOffset() - 1] === '"') {
      return syntax(
        { start, end },
        `Expected ${wanted}. A quotation mark inside a string is written \`\\"\`.`,
      );
    }
    return syntax({ start, end }, `Expected ${wanted}, found \`${word}\`.`);
  }
}

const pythonLiterals = new Map([
  ["True", "true"],
  ["False", "false"],
  ["None", "null"],
  ["NaN", "null"],
  ["undefined", "null"],
]);

export function syntax(span: Span, message: string, fix?: FindingFix): Finding {
  return { rule: "json-syntax", span, message, ...(fix && { fixes: [fix] }) };
}

export function trailingComma(comma: Span): Finding {
  return syntax(comma, "Nothing follows this comma.", {
    title: "Delete the comma",
    edits: [{ span: comma, newText: "" }],
  });
}

/** The last character before `offset` that is no white space; `offset` itself when there is none. */
export function lastSolid(text: string, offset: number): number {
  for (let at = offset - 1; at >= 0; at--) {
    if (!" \t\r\n".includes(text[at] ?? "")) return at;
  }
  return offset;
}

function loneSurrogate(span: Span, text: string): Finding {
  const written = text.slice(span.start, span.end);
  const name = written.startsWith("\\")
    ? `\`${written}\``
    : `U+${written.charCodeAt(0).toString(16).toUpperCase()}`;
  return {
    rule: "lone-surrogate",
    span,
    message: `${name} is half a surrogate pair: no character, and not writable as UTF-8.`,
    fixes: [{ title: "Delete the half pair", edits: [{ span, newText: "" }] }],
  };
}

/** Objects up to this size are compared pair by pair, which needs no map. */
const pairwise = 8;

function reportDuplicateKeys({ properties }: JsonObject, findings: Finding[]): void {
  const seen = properties.length > pairwise ? new Map<string, number>() : undefined;
  for (let at = 0; at < properties.length; at++) {
    const key = properties[at]?.key;
    if (!key) continue;
    let earlier = -1;
    if (seen) {
      earlier = seen.get(key.value) ?? -1;
      seen.set(key.value, at);
    } else {
      for (let other = 0; other < at; other++)
        if (properties[other]?.key.value === key.value) earlier = other;
    }
    const previous = properties[earlier]?.key;
    const follower = properties[earlier + 1]?.key;
    if (!previous || !follower || findings.length >= maxFindings) continue;
    findings.push({
      rule: "duplicate-key",
      span: { start: key.start, end: key.end },
      message: `\`${key.value}\` stands twice in this object; readers take this one and ignore the earlier.`,
      fixes: [
        {
          title: `Delete the earlier \`${key.value}\``,
          edits: [{ span: { start: previous.start, end: follower.start }, newText: "" }],
        },
      ],
    });
  }
}
