/** Parses a template into the renderer's syntax tree, with the source span of every block and every error. */
import { type Interpreter, parse } from "@huggingface/jinja";
import type { Finding, Span } from "../text/span";
import { checkTagStructure } from "./jinja-blocks";
import { type JinjaBlock, type JinjaToken, type LexedTemplate, lexTemplate } from "./jinja-lexer";
import { checkNames } from "./jinja-names";
import { TemplateSyntaxError } from "./template-error";

export type Program = Parameters<Interpreter["run"]>[0];
type Statement = Program["body"][number];

export interface ParsedTemplate {
  program: Program;
  lexed: LexedTemplate;
  /** The block each statement of the tree was made from. */
  blockOf: WeakMap<object, JinjaBlock>;
  hasGenerationTags: boolean;
}

/** @throws TemplateSyntaxError with the first thing that is wrong */
export function parseTemplate(source: string): ParsedTemplate {
  const lexed = lexTemplate(source);
  checkTagStructure(lexed);
  const [first] = checkNames(lexed);
  if (first) throw first;
  const program = parseTokens(lexed, source.length);
  return {
    program,
    lexed,
    blockOf: mapBlocks(program, lexed.blocks),
    hasGenerationTags: lexed.blocks.some((block) => block.name === "generation"),
  };
}

/** Everything that is wrong with the template's text, as far as it can be told without rendering. */
export function templateFindings(source: string): Finding[] {
  try {
    const lexed = lexTemplate(source);
    checkTagStructure(lexed);
    const names = checkNames(lexed);
    parseTokens(lexed, source.length);
    return names.map((error) => error.toFinding());
  } catch (error) {
    if (error instanceof TemplateSyntaxError) return [error.toFinding()];
    throw error;
  }
}

/** Short names that Jinja has and the renderer lacks. */
const FILTER_ALIASES: Readonly<Record<string, string>> = { count: "length", d: "default" };

/** The renderer's parser does not say where it failed; the last token it asked for does. */
function parseTokens(lexed: LexedTemplate, sourceLength: number): Program {
  const end: JinjaToken = {
    // No type of the parser's: it ends every loop that looks for more.
    type: "EndOfTemplate" as JinjaToken["type"],
    value: "",
    span: { start: sourceLength, end: sourceLength },
  };
  let last = 0;
  const watched = new Proxy(lexed.tokens, {
    get(tokens, key, receiver) {
      if (typeof key !== "string" || !/^\d+$/.test(key)) return Reflect.get(tokens, key, receiver);
      last = Number(key);
      const token = tokens[last];
      const alias = tokens[last - 1]?.type === "Pipe" ? FILTER_ALIASES[token?.value ?? ""] : undefined;
      return token && alias ? { ...token, value: alias } : (token ?? end);
    },
  });
  try {
    return parse(watched as unknown as Parameters<typeof parse>[0]);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new TemplateSyntaxError("template-unsupported", "The template nests too deeply.", end.span);
    }
    const token = lexed.tokens[last] ?? end;
    if (token.type === "CloseParen" && lexed.tokens[last - 1]?.type === "Comma") {
      const message = "A tuple of one item, written `(item,)`, is not supported by the renderer.";
      throw new TemplateSyntaxError("template-unsupported", message, token.span);
    }
    throw new TemplateSyntaxError("template-syntax", explain(error, token), token.span);
  }
}

function explain(error: unknown, token: JinjaToken): string {
  const reason = error instanceof Error ? error.message : String(error);
  if (/[Dd]uplicate parameter|[Aa]rgument|`\*/.test(reason) && !/Parser Error/.test(reason))
    return `${reason}.`;
  const expected = /!== (\w+)\.$/.exec(reason)?.[1];
  const wanted = expected === undefined ? undefined : TOKEN_WORDS[expected];
  const found = describeToken(token);
  if (wanted !== undefined) return `Expected ${wanted}, found ${found}.`;
  return `Expected an expression, found ${found}.`;
}

const TOKEN_WORDS: Readonly<Record<string, string>> = {
  OpenParen: "`(`",
  CloseParen: "`)` or `,`",
  CloseStatement: "`%}`",
  CloseExpression: "`}}`",
  CloseSquareBracket: "`]`",
  CloseCurlyBracket: "`}`",
  Colon: "`:`",
  Equals: "`=`",
  Identifier: "a name",
};

function describeToken(token: JinjaToken): string {
  if (token.type === "Text") return "text";
  if (token.value === "")
    return token.type === "StringLiteral" ? "an empty string" : "the end of the template";
  return token.type === "StringLiteral" ? "a string" : `\`${token.value}\``;
}

/**
 * Pairs blocks with tree nodes. Both are in source order and the tag structure has been checked, so one walk suffices:
 * every text, expression and opening tag makes one node; `elif` makes a nested one; closing tags make none.
 */
function mapBlocks(program: Program, blocks: readonly JinjaBlock[]): WeakMap<object, JinjaBlock> {
  const blockOf = new WeakMap<object, JinjaBlock>();
  let next = 0;
  type Node = Statement & {
    body?: Statement[];
    alternate?: Statement[];
    defaultBlock?: Statement[];
    value?: unknown;
  };
  const walkAll = (nodes: readonly Statement[]) => {
    for (const node of nodes) walk(node as Node);
  };
  const walk = (node: Node) => {
    const block = blocks[next++];
    if (block) blockOf.set(node, block);
    switch (node.type) {
      case "Set":
        if (node.value === null) {
          walkAll(node.body ?? []);
          next++;
        }
        break;
      case "If":
        walkAll(node.body ?? []);
        if (blocks[next]?.name === "elif") walk(node.alternate?.[0] as Node);
        else {
          if (blocks[next]?.name === "else") next++;
          walkAll(node.alternate ?? []);
          next++;
        }
        break;
      case "For":
        walkAll(node.body ?? []);
        if (blocks[next]?.name === "else") next++;
        walkAll(node.defaultBlock ?? []);
        next++;
        break;
      case "Macro":
      case "CallStatement":
      case "FilterStatement":
        walkAll(node.body ?? []);
        next++;
        break;
    }
  };
  walkAll(program.body);
  return blockOf;
}

/** The span of the template's loop over the messages, or its beginning: where a finding about the whole belongs. */
export function mainLoopSpan(lexed: LexedTemplate): Span {
  const loop = lexed.blocks.find(
    (block) =>
      block.name === "for" &&
      lexed.tokens.slice(block.firstToken, block.endToken).some((token) => /messages/.test(token.value)),
  );
  return (loop ?? lexed.blocks[0])?.span ?? { start: 0, end: 0 };
}
