/** Checks the names of filters, tests and global functions: what Jinja has, and what the renderer carries out. */
import { closest, distance } from "fastest-levenshtein";
import type { JinjaToken, LexedTemplate } from "./jinja-lexer";
import { TemplateSyntaxError } from "./template-error";

/** Filters of Jinja 3.1 that the renderer has for at least one type of value. */
export const SUPPORTED_FILTERS: readonly string[] = [
  ..."abs capitalize count d default dictsort first float indent int items join keys last length list".split(
    " ",
  ),
  ..."lower map rejectattr replace reverse safe selectattr sort string title tojson trim unique upper".split(
    " ",
  ),
];

/** The rest of Jinja 3.1's filters. */
const OTHER_FILTERS: readonly string[] = [
  ..."attr batch center e escape filesizeformat forceescape format groupby max min pprint random reject".split(
    " ",
  ),
  ..."round select slice striptags sum truncate urlencode urlize wordcount wordwrap xmlattr".split(" "),
];

const SUPPORTED_TESTS: readonly string[] = [
  ..."boolean callable defined eq equalto even false integer iterable lower mapping none number odd".split(
    " ",
  ),
  ..."sequence string true undefined upper".split(" "),
];

const OTHER_TESTS: readonly string[] = [
  ..."divisibleby escaped filter float ge greaterthan gt in le lessthan lt ne sameas test".split(" "),
];

/** Functions that Jinja or `transformers` define and the renderer does not. */
const OTHER_FUNCTIONS: ReadonlySet<string> = new Set(["cycler", "dict", "joiner", "lipsum"]);

/** Every name that is wrong, in source order. */
export function checkNames({ blocks, tokens }: LexedTemplate): TemplateSyntaxError[] {
  const errors: TemplateSyntaxError[] = [];
  const defined = definedNames(tokens);
  for (const block of blocks) {
    for (let index = block.firstToken; index < block.endToken; index++) {
      const token = tokens[index] as JinjaToken;
      if (token.type !== "Identifier") continue;
      const before = tokens[index - 1];
      const filterTag = block.name === "filter" && index === block.firstToken + 2;
      if (before?.type === "Pipe" || filterTag) {
        checkName("filter", token, SUPPORTED_FILTERS, OTHER_FILTERS, errors);
      } else if (isTestName(tokens, index)) {
        checkName("test", token, SUPPORTED_TESTS, OTHER_TESTS, errors);
      } else if (
        tokens[index + 1]?.type === "OpenParen" &&
        before?.type !== "Dot" &&
        OTHER_FUNCTIONS.has(token.value) &&
        !defined.has(token.value)
      ) {
        const message = `The function \`${token.value}\` is not supported by the renderer.`;
        errors.push(new TemplateSyntaxError("template-unsupported", message, token.span));
      }
    }
  }
  return errors;
}

/** Whether the name follows `is` or `is not`, itself in the place of an operator. */
function isTestName(tokens: readonly JinjaToken[], index: number): boolean {
  const isOperator = (at: number) => {
    const token = tokens[at];
    if (token?.type !== "Identifier" || token.value !== "is") return false;
    const operand = tokens[at - 1];
    return operand !== undefined && /^(Identifier|\w+Literal|Close(Paren|\w+Bracket))$/.test(operand.type);
  };
  if (tokens[index]?.value === "not") return false;
  return isOperator(index - 1) || (tokens[index - 1]?.value === "not" && isOperator(index - 2));
}

function checkName(
  kind: "filter" | "test",
  token: JinjaToken,
  supported: readonly string[],
  known: readonly string[],
  errors: TemplateSyntaxError[],
): void {
  const name = token.value;
  if (supported.includes(name)) return;
  if (known.includes(name)) {
    const message = `The ${kind} \`${name}\` is Jinja's, but the renderer does not support it.`;
    errors.push(new TemplateSyntaxError("template-unsupported", message, token.span));
    return;
  }
  const nearest = closest(name, [...supported, ...known]);
  const hint = distance(name, nearest) <= 2 ? ` Did you mean \`${nearest}\`?` : "";
  const message = `Jinja has no ${kind} \`${name}\`.${hint}`;
  errors.push(new TemplateSyntaxError("template-unsupported", message, token.span));
}

/** Names that a macro or an assignment of the template defines. */
function definedNames(tokens: readonly JinjaToken[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (let index = 1; index < tokens.length; index++) {
    const before = tokens[index - 1];
    if (before?.type === "Identifier" && /^(macro|set)$/.test(before.value))
      names.add(tokens[index]?.value ?? "");
  }
  return names;
}
