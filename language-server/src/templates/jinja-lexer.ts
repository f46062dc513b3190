/**
 * Splits a Jinja template into blocks and tokens that know where they stand in the source.
 *
 * The renderer's own lexer keeps no positions and treats whitespace control by regular expressions over the whole
 * source; this one follows Jinja2's lexer with `trim_blocks` and `lstrip_blocks` on, as `transformers` sets them.
 * Its tokens have the type names that the renderer's parser expects.
 */
import type { Span } from "../text/span";
import { TemplateSyntaxError } from "./template-error";

export interface JinjaToken {
  value: string;
  type: JinjaTokenType;
  span: Span;
}

export type JinjaTokenType =
  | "Text"
  | "NumericLiteral"
  | "StringLiteral"
  | "Identifier"
  | "Equals"
  | "OpenParen"
  | "CloseParen"
  | "OpenStatement"
  | "CloseStatement"
  | "OpenExpression"
  | "CloseExpression"
  | "OpenSquareBracket"
  | "CloseSquareBracket"
  | "OpenCurlyBracket"
  | "CloseCurlyBracket"
  | "Comma"
  | "Dot"
  | "Colon"
  | "Pipe"
  | "AdditiveBinaryOperator"
  | "MultiplicativeBinaryOperator"
  | "ExponentiationBinaryOperator"
  | "ComparisonBinaryOperator";

/** A piece of the template: literal text, `{{ … }}`, or `{% … %}`. Comments and `raw` tags leave no block. */
export interface JinjaBlock {
  kind: "text" | "expression" | "statement";
  /** The whole piece in the source, delimiters included. */
  span: Span;
  /** The tag's name (`if`, `endfor`, `generation`, …) for a statement. */
  name: string;
  nameSpan: Span;
  /** Tokens `[firstToken, endToken)`. */
  firstToken: number;
  endToken: number;
}

export interface LexedTemplate {
  blocks: JinjaBlock[];
  tokens: JinjaToken[];
}

/**
 * Variables that print the marks around `{% generation %}` … `{% endgeneration %}`. A template cannot name them: the
 * lexer accepts only word characters in names.
 */
export const GENERATION_START = "generation start";
export const GENERATION_END = "generation end";

const OPERATORS: readonly [string, JinjaTokenType][] = [
  ["**", "ExponentiationBinaryOperator"],
  ["//", "MultiplicativeBinaryOperator"],
  ["==", "ComparisonBinaryOperator"],
  ["!=", "ComparisonBinaryOperator"],
  ["<=", "ComparisonBinaryOperator"],
  [">=", "ComparisonBinaryOperator"],
  ["<", "ComparisonBinaryOperator"],
  [">", "ComparisonBinaryOperator"],
  ["+", "AdditiveBinaryOperator"],
  ["-", "AdditiveBinaryOperator"],
  ["~", "AdditiveBinaryOperator"],
  ["*", "MultiplicativeBinaryOperator"],
  ["/", "MultiplicativeBinaryOperator"],
  ["%", "MultiplicativeBinaryOperator"],
  ["=", "Equals"],
  ["(", "OpenParen"],
  [")", "CloseParen"],
  ["[", "OpenSquareBracket"],
  ["]", "CloseSquareBracket"],
  ["{", "OpenCurlyBracket"],
  ["}", "CloseCurlyBracket"],
  [",", "Comma"],
  [".", "Dot"],
  [":", "Colon"],
  ["|", "Pipe"],
];

const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
const NUMBER =
  /0[xX](?:_?[\da-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+(?:_\d+)*)?/y;
const INTEGER = /\d+/y;
const NAME = /[\p{L}_][\p{L}\p{N}\p{M}_]*/uy;
const WHITESPACE = /\s+/y;
const RAW_BEGIN = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;

/**
 * @param source the template as written; CRLF and CR count as line feeds, as in Jinja2. Spans refer to this text.
 * @throws TemplateSyntaxError for an unclosed delimiter, string or bracket and for characters outside the language
 */
export function lexTemplate(source: string): LexedTemplate {
  return new Lexer(source).run();
}

class Lexer {
  private readonly text: string;
  /** For each offset of `text` its offset in the source; absent where both are the same text. */
  private readonly sourceOffsets: Uint32Array | undefined;
  private readonly tokens: JinjaToken[] = [];
  private readonly blocks: JinjaBlock[] = [];
  private position = 0;

  constructor(source: string) {
    const normalised = normaliseNewlines(source);
    this.sourceOffsets = normalised.offsets;
    // Jinja2's `keep_trailing_newline=False`.
    this.text = normalised.text.endsWith("\n") ? normalised.text.slice(0, -1) : normalised.text;
  }

  run(): LexedTemplate {
    while (this.position < this.text.length) {
      const open = this.nextOpening(this.position);
      this.lexText(open);
      if (open === this.text.length) break;
      RAW_BEGIN.lastIndex = open;
      const raw = RAW_BEGIN.exec(this.text);
      if (raw) this.lexRaw(open, raw[0]);
      else if (this.text[open + 1] === "#") this.lexComment(open);
      else this.lexBlock(open);
    }
    return { blocks: this.blocks, tokens: this.tokens };
  }

  private span(start: number, end: number): Span {
    const map = this.sourceOffsets;
    if (!map) return { start, end };
    // A span ends after its last character, which may be a line feed that stands for two source characters.
    return { start: map[start] ?? 0, end: end > start ? (map[end - 1] ?? 0) + 1 : (map[start] ?? 0) };
  }

  private fail(message: string, start: number, end: number): never {
    throw new TemplateSyntaxError("template-syntax", message, this.span(start, end));
  }

  private nextOpening(from: number): number {
    for (let at = this.text.indexOf("{", from); at >= 0; at = this.text.indexOf("{", at + 1)) {
      const next = this.text[at + 1];
      if (next === "%" || next === "{" || next === "#") return at;
    }
    return this.text.length;
  }

  /** Emits the literal text up to `open`, less what the block at `open` strips from it. */
  private lexText(open: number): void {
    const start = this.position;
    let text = this.text.slice(start, open);
    if (open < this.text.length) {
      const sign = this.text[open + 2];
      if (sign === "-") text = text.trimEnd();
      else if (sign !== "+" && this.text[open + 1] !== "{") {
        // `lstrip_blocks`: whitespace between the line's start and the tag goes.
        const lineStart = text.lastIndexOf("\n") + 1;
        const startsLine = lineStart > 0 || start === 0 || this.text[start - 1] === "\n";
        if (startsLine && text.slice(lineStart).trim() === "") text = text.slice(0, lineStart);
      }
    }
    this.position = open;
    this.emitText(text, start, open);
  }

  private emitText(text: string, start: number, end: number): void {
    if (text === "") return;
    const span = this.span(start, end);
    this.tokens.push({ type: "Text", value: text, span });
    this.blocks.push({
      kind: "text",
      span,
      name: "",
      nameSpan: span,
      firstToken: this.tokens.length - 1,
      endToken: this.tokens.length,
    });
  }

  private lexComment(open: number): void {
    const close = this.text.indexOf("#}", open + 2);
    if (close < 0) this.fail("This comment is never closed: `#}` is missing.", open, open + 2);
    this.position = close + 2;
    this.skipAfterTag(close > open + 2 ? this.text[close - 1] : undefined);
  }

  private lexRaw(open: number, opening: string): void {
    const start = open + opening.length;
    RAW_END.lastIndex = start;
    const end = RAW_END.exec(this.text);
    if (!end)
      this.fail(
        "`{% raw %}` is never closed: `{% endraw %}` is missing.",
        open,
        open + opening.trimEnd().length,
      );
    let text = this.text.slice(start, end.index);
    if (end[1] === "-") text = text.trimEnd();
    this.emitText(text, start, end.index);
    this.position = end.index + end[0].length;
  }

  /** What a closing delimiter with this sign swallows: `-` all whitespace, none a line feed, `+` nothing. */
  private skipAfterTag(sign: string | undefined): void {
    if (sign === "-") {
      WHITESPACE.lastIndex = this.position;
      if (WHITESPACE.test(this.text)) this.position = WHITESPACE.lastIndex;
    } else if (sign !== "+" && this.text[this.position] === "\n") this.position++;
  }

  private lexBlock(open: number): void {
    const statement = this.text[open + 1] === "%";
    const close = statement ? "%}" : "}}";
    const firstToken = this.tokens.length;
    let at = open + 2;
    if (this.text[at] === "-" || this.text[at] === "+") at++;
    this.tokens.push({
      type: statement ? "OpenStatement" : "OpenExpression",
      value: statement ? "{%" : "{{",
      span: this.span(open, at),
    });
    const brackets: { character: string; at: number }[] = [];
    for (;;) {
      WHITESPACE.lastIndex = at;
      if (WHITESPACE.test(this.text)) at = WHITESPACE.lastIndex;
      if (at >= this.text.length) {
        const bracket = brackets.at(-1);
        if (bracket) this.fail(`\`${bracket.character}\` is never closed.`, bracket.at, bracket.at + 1);
        this.fail(
          `This \`${statement ? "{%" : "{{"}\` is never closed: \`${close}\` is missing.`,
          open,
          open + 2,
        );
      }
      if (brackets.length === 0) {
        const sign = this.text[at];
        const signed = (sign === "-" || (sign === "+" && statement)) && this.text.startsWith(close, at + 1);
        if (signed || this.text.startsWith(close, at)) {
          const end = at + (signed ? 3 : 2);
          this.tokens.push({
            type: statement ? "CloseStatement" : "CloseExpression",
            value: close,
            span: this.span(at, end),
          });
          this.position = end;
          this.closeBlock(statement, firstToken, open, end);
          if (statement) this.skipAfterTag(signed ? sign : undefined);
          else if (signed) this.skipAfterTag("-");
          return;
        }
      }
      at = this.lexToken(at, brackets);
    }
  }

  private closeBlock(statement: boolean, firstToken: number, open: number, end: number): void {
    const span = this.span(open, end);
    const first = this.tokens[firstToken + 1];
    const name = statement && first?.type === "Identifier" ? first.value : "";
    const nameSpan = first?.span ?? span;
    if (statement && (name === "generation" || name === "endgeneration")) {
      const extra = this.tokens[firstToken + 2];
      if (extra?.type !== "CloseStatement") {
        throw new TemplateSyntaxError(
          "template-syntax",
          `\`${name}\` takes no arguments.`,
          extra?.span ?? span,
        );
      }
      // The tag becomes an expression that prints a mark; the renderer knows nothing of it.
      this.tokens.length = firstToken;
      const mark = name === "generation" ? GENERATION_START : GENERATION_END;
      this.tokens.push(
        { type: "OpenExpression", value: "{{", span },
        { type: "Identifier", value: mark, span },
        { type: "CloseExpression", value: "}}", span },
      );
    }
    this.blocks.push({
      kind: statement ? "statement" : "expression",
      span,
      name,
      nameSpan,
      firstToken,
      endToken: this.tokens.length,
    });
  }

  private push(type: JinjaTokenType, value: string, start: number, end: number): number {
    this.tokens.push({ type, value, span: this.span(start, end) });
    return end;
  }

  private lexToken(at: number, brackets: { character: string; at: number }[]): number {
    const character = this.text[at] as string;
    if (character === "'" || character === '"') {
      STRING.lastIndex = at;
      const string = STRING.exec(this.text)?.[0];
      if (string === undefined)
        this.fail(`This string is never closed: ${character} is missing.`, at, at + 1);
      return this.push("StringLiteral", this.unescape(string, at), at, at + string.length);
    }
    if (character >= "0" && character <= "9") {
      // After a dot a number is an index (`messages.0.content`), never a fraction.
      const pattern = this.tokens.at(-1)?.type === "Dot" ? INTEGER : NUMBER;
      pattern.lastIndex = at;
      const number = pattern.exec(this.text)?.[0] ?? character;
      return this.push("NumericLiteral", numberForParser(number), at, at + number.length);
    }
    NAME.lastIndex = at;
    const name = NAME.exec(this.text)?.[0];
    if (name !== undefined) return this.push("Identifier", name, at, at + name.length);
    const operator = OPERATORS.find(([text]) => this.text.startsWith(text, at));
    if (!operator) {
      const unknown = String.fromCodePoint(this.text.codePointAt(at) ?? 0);
      this.fail(`\`${unknown}\` has no meaning here.`, at, at + unknown.length);
    }
    const [text, type] = operator;
    if (text in CLOSING) brackets.push({ character: text, at });
    else if (text === ")" || text === "]" || text === "}") {
      const open = brackets.pop();
      if (!open) this.fail(`\`${text}\` closes nothing.`, at, at + 1);
      const expected = CLOSING[open.character];
      if (expected !== text) {
        this.fail(
          `\`${text}\` stands where \`${expected}\` is expected to close \`${open.character}\`.`,
          at,
          at + 1,
        );
      }
    }
    return this.push(type, text, at, at + text.length);
  }

  /** Python's string escapes; an escape that Python does not know stays as it is written. */
  private unescape(literal: string, at: number): string {
    const body = literal.slice(1, -1);
    if (!body.includes("\\")) return body;
    const pattern =
      /\\(?:\n|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([xuUN])|([\s\S]))/g;
    return body.replace(pattern, (written, x, u, long, octal, broken, single, offset: number) => {
      const code = x ?? u ?? long;
      if (code !== undefined || octal !== undefined) {
        const value = code !== undefined ? Number.parseInt(code, 16) : Number.parseInt(octal, 8);
        if (value <= 0x10ffff) return String.fromCodePoint(value);
      }
      if (broken !== undefined || long !== undefined) {
        this.fail(
          `\`${written}\` is not a complete character escape.`,
          at + 1 + offset,
          at + 1 + offset + written.length,
        );
      }
      if (single === undefined) return "";
      return SINGLE_ESCAPES[single as string] ?? written;
    });
  }
}

const SINGLE_ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "'": "'",
  '"': '"',
  "\\": "\\",
};

/** The renderer's parser reads a number with `.` as a float and any other as an integer, by `Number`. */
function numberForParser(written: string): string {
  const number = written.replaceAll("_", "").toLowerCase();
  if (/^0[xob]/.test(number) || !number.includes("e")) return number;
  const value = String(Number(number));
  return /[.e]/.test(value) ? value : `${value}.0`;
}

/** Line feeds for every CRLF and CR, with the map back to the source where anything changed length. */
function normaliseNewlines(source: string): { text: string; offsets: Uint32Array | undefined } {
  if (!source.includes("\r")) return { text: source, offsets: undefined };
  const offsets = new Uint32Array(source.length + 1);
  let length = 0;
  for (let at = 0; at < source.length; at++) {
    offsets[length++] = at;
    if (source[at] === "\r" && source[at + 1] === "\n") {
      at++;
      offsets[length - 1] = at;
    }
  }
  offsets[length] = source.length;
  return { text: source.replace(/\r\n?/g, "\n"), offsets };
}
