/** Checks that a template's tags open, continue and close each other. */
import type { JinjaBlock, LexedTemplate } from "./jinja-lexer";
import { TemplateSyntaxError } from "./template-error";

/** Opening tags and what closes them. */
const CLOSED_BY: Readonly<Record<string, string>> = {
  if: "endif",
  for: "endfor",
  macro: "endmacro",
  call: "endcall",
  filter: "endfilter",
  set: "endset",
  generation: "endgeneration",
};

const OPENED_BY = new Map(Object.entries(CLOSED_BY).map(([open, close]) => [close, open]));

const STANDALONE: ReadonlySet<string> = new Set(["break", "continue"]);

/** Tags of Jinja itself that chat-template renderers do not carry out. */
const OTHER_JINJA_TAGS: ReadonlySet<string> = new Set([
  "autoescape",
  "endautoescape",
  "block",
  "endblock",
  "extends",
  "from",
  "import",
  "include",
  "with",
  "endwith",
]);

/** @throws TemplateSyntaxError at the first tag that is unknown, stands in the wrong place or is never closed */
export function checkTagStructure({ blocks, tokens }: LexedTemplate): void {
  const open: JinjaBlock[] = [];
  for (const block of blocks) {
    if (block.kind !== "statement") continue;
    const { name } = block;
    const fail = (message: string): never => {
      throw new TemplateSyntaxError("template-syntax", message, block.nameSpan);
    };
    const innermost = open.at(-1);
    if (name in CLOSED_BY) {
      if (name !== "set" || !isAssignment(block, tokens)) open.push(block);
    } else if (OPENED_BY.has(name)) {
      if (innermost === undefined) fail(`\`${name}\` closes nothing: no \`${OPENED_BY.get(name)}\` is open.`);
      else if (CLOSED_BY[innermost.name] !== name) {
        fail(
          `\`${name}\` stands where \`${CLOSED_BY[innermost.name]}\` is expected to close \`${innermost.name}\`.`,
        );
      }
      open.pop();
    } else if (name === "elif" || name === "else") {
      const allowed = innermost?.name === "if" || (innermost?.name === "for" && name === "else");
      if (!allowed)
        fail(`\`${name}\` belongs in an \`if\`${name === "else" ? " or `for`" : ""} that is open here.`);
    } else if (STANDALONE.has(name)) {
      if (!open.some((outer) => outer.name === "for")) fail(`\`${name}\` stands outside every \`for\`.`);
    } else if (OTHER_JINJA_TAGS.has(name)) {
      const message = `The tag \`${name}\` is Jinja's, but chat-template renderers do not support it.`;
      throw new TemplateSyntaxError("template-unsupported", message, block.nameSpan);
    } else fail(name === "" ? "A tag's name is expected here." : `\`${name}\` is not a tag of Jinja.`);
  }
  const unclosed = open.at(-1);
  if (unclosed) {
    const message = `\`${unclosed.name}\` is never closed: \`{% ${CLOSED_BY[unclosed.name]} %}\` is missing.`;
    throw new TemplateSyntaxError("template-syntax", message, unclosed.span);
  }
}

/** `{% set x = … %}` as opposed to `{% set x %}…{% endset %}`. */
function isAssignment(block: JinjaBlock, tokens: LexedTemplate["tokens"]): boolean {
  let depth = 0;
  for (const token of tokens.slice(block.firstToken, block.endToken)) {
    if (/^Open(Paren|SquareBracket|CurlyBracket)$/.test(token.type)) depth++;
    else if (/^Close(Paren|SquareBracket|CurlyBracket)$/.test(token.type)) depth--;
    else if (token.type === "Equals" && depth === 0) return true;
  }
  return false;
}
