/**
 * Carries out a parsed template within limits, and where the renderer's library departs from Jinja2 in ways that chat
 * templates meet (equality, printing of `True` and `None`, `trim`, `length`, scopes and output of loops), as Jinja2 does.
 *
 * A template comes from a stranger: it sees only the values given to it (the library keeps them in maps of its own, so
 * there is no way to a JavaScript prototype), it cannot run longer than its time limit, and it cannot print or hold
 * more than its output limit. Where the library itself loops without asking back, every such loop is over data whose
 * size is limited here.
 */
import { Environment, Interpreter } from "@huggingface/jinja";
import type { JinjaBlock } from "./jinja-lexer";
import { GENERATION_END, GENERATION_START } from "./jinja-lexer";
import type { ParsedTemplate } from "./jinja-parser";
import { pythonEquals, pythonStr, pythonStrip, type RuntimeValue } from "./python-values";
import { strftime } from "./strftime";
import { TemplateRenderError } from "./template-error";

export interface RenderLimits {
  /** Milliseconds that all renderings of one conversation may take together. */
  timeLimit: number;
  /** UTF-16 units one rendering may print, and any text in it may have. */
  outputLimit: number;
}

export const DEFAULT_RENDER_LIMITS: RenderLimits = { timeLimit: 2000, outputLimit: 8 * 1024 * 1024 };

/** As in Jinja2's sandbox, which `transformers` renders in. */
const MAX_RANGE = 100_000;
const MAX_ITEMS = 1_000_000;
const MAX_INDENT = 1000;
/** Expressions within expressions and blocks within blocks, macros included; well inside V8's stack. */
const MAX_DEPTH = 600;

const COSTLY: ReadonlySet<string> = new Set(["For", "CallExpression", "FilterExpression", "FilterStatement"]);

type Statement = Parameters<Interpreter["evaluate"]>[0];
type Scope = Parameters<Interpreter["evaluate"]>[1];

interface BinaryNode {
  operator: { value: string };
  left: Statement;
  right: Statement;
}
interface FilterNode {
  operand: Statement;
  filter: { type: string; value?: string; callee?: { value?: string }; args?: Statement[] };
}

export interface RenderVariables {
  readonly [name: string]: unknown;
}

/**
 * @param variables plain JSON values; what `apply_chat_template` passes (`messages`, `bos_token`, …)
 * @param marks the characters that stand for the generation tags in the returned text
 * @param now what `strftime_now` says
 * @param spent milliseconds of the time limit that earlier renderings of the same conversation have used
 * @returns the rendered text, marks included
 * @throws TemplateRenderError
 */
export function interpret(
  template: ParsedTemplate,
  variables: RenderVariables,
  marks: { start: string; end: string },
  limits: RenderLimits = DEFAULT_RENDER_LIMITS,
  now: Date = new Date(),
  spent = 0,
): string {
  const environment = new Environment();
  const globals: RenderVariables = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    raise_exception: (message: unknown) => {
      throw new TemplateRenderError("raised", typeof message === "string" ? message : "", undefined);
    },
    strftime_now: (format: unknown) => strftime(now, String(format)),
    ...variables,
    [GENERATION_START]: marks.start,
    [GENERATION_END]: marks.end,
  };
  try {
    for (const [name, value] of Object.entries(globals)) environment.set(name, value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TemplateRenderError("limit", "The conversation nests too deeply.", undefined);
  }
  return new BoundedInterpreter(environment, template.blockOf, limits, spent).text(template.program);
}

function range(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (!Number.isInteger(from) || !Number.isInteger(to) || !Number.isInteger(step)) {
    throw new Error("range() takes integers");
  }
  const [first, end, stride] = [from as number, to as number, step as number];
  if (stride === 0) throw new Error("range() step must not be zero");
  const count = Math.max(0, Math.ceil((end - first) / stride));
  if (count > MAX_RANGE) {
    const message = `range() of ${count} numbers; a template may count to ${MAX_RANGE}.`;
    throw new TemplateRenderError("limit", message, undefined);
  }
  return Array.from({ length: count }, (_, index) => first + index * stride);
}

/** The library does not export its value classes; a value of each tells them. */
function classOf<Value>(value: Value): new (value: Value) => RuntimeValue {
  return new Environment().set("sample", value).constructor as new (
    value: Value,
  ) => RuntimeValue;
}
const TextValue = classOf<string>("");
const TruthValue = classOf<boolean>(true);
const NumberValue = classOf<number>(0);

/** `{% break %}` or `{% continue %}` on its way to its loop, with what the iteration has printed so far. */
class LoopControl extends Error {
  printed = "";
  constructor(readonly kind: "Break" | "Continue") {
    super(kind);
  }
}

interface LoopNode {
  body: Statement[];
  defaultBlock: Statement[];
}

/** The library declares `evaluateBlock` private, though all its statements run through it. */
interface OpenInterpreter {
  run(program: ParsedTemplate["program"]): RuntimeValue;
  evaluate(statement: Statement, environment: Scope): RuntimeValue;
}
const OpenInterpreter = Interpreter as unknown as new (environment: Environment) => OpenInterpreter;

class BoundedInterpreter extends OpenInterpreter {
  /** The loops being carried out, innermost last. */
  private readonly loops: { body: Statement[]; broken: boolean; completed: boolean; iterations: number }[] =
    [];
  private readonly deadline: number;
  private steps = 0;
  private depth = 0;
  private printed = 0;
  /** Where each error in flight was first seen. */
  private readonly origins = new WeakMap<object, JinjaBlock>();
  constructor(
    environment: Environment,
    private readonly blockOf: ParsedTemplate["blockOf"],
    private readonly limits: RenderLimits,
    spent: number,
  ) {
    super(environment);
    this.deadline = performance.now() + limits.timeLimit - spent;
  }

  text(program: ParsedTemplate["program"]): string {
    try {
      return this.run(program).value as string;
    } catch (error) {
      throw this.explain(error);
    }
  }

  override evaluate(statement: Statement, environment: Scope): RuntimeValue {
    // The costly ones ask for the time always: one of them may go over a million items.
    this.checkTime(COSTLY.has(statement?.type ?? ""));
    const block = statement && this.blockOf.get(statement);
    if (++this.depth > MAX_DEPTH) {
      throw new TemplateRenderError(
        "limit",
        "The template nests too deeply, or a macro calls itself.",
        undefined,
      );
    }
    try {
      if (!block) return this.checkSize(this.evaluateNode(statement, environment));
      const value = this.checkSize(this.evaluateNode(statement, environment));
      if (block.kind === "statement" && !block.name.endsWith("generation")) return value;
      const printed = pythonStr(value);
      this.printed += printed.length;
      if (this.printed > this.limits.outputLimit) this.failTooLong();
      return value.type === "StringValue" ? value : new TextValue(printed);
    } catch (error) {
      if (block && error instanceof Error && !this.origins.has(error)) this.origins.set(error, block);
      throw error;
    } finally {
      this.depth--;
    }
  }

  private checkTime(now: boolean): void {
    if (!now && (++this.steps & 255) !== 0) return;
    if (performance.now() <= this.deadline) return;
    const message = `Rendering was stopped after ${this.limits.timeLimit / 1000} s.`;
    throw new TemplateRenderError("limit", message, undefined);
  }

  /**
   * Prints a run of statements. Differs from the library's in two ways, both as in Jinja2: every iteration of a loop
   * has its own scope, and what it printed before `break` or `continue` stays printed.
   */
  protected evaluateBlock(statements: Statement[], environment: Scope): RuntimeValue {
    const innermost = this.loops.at(-1);
    const loop = innermost?.body === statements ? innermost : undefined;
    this.checkTime(false);
    if (loop) loop.iterations++;
    if (loop?.broken) return new TextValue("");
    const scope = loop ? new Environment(environment) : environment;
    let printed = "";
    try {
      for (const statement of statements) {
        const value = this.evaluate(statement, scope);
        if (value.type !== "NullValue" && value.type !== "UndefinedValue") printed += value.toString();
      }
      if (loop) loop.completed = true;
    } catch (error) {
      if (!(error instanceof LoopControl)) throw error;
      error.printed = printed + error.printed;
      if (!loop) throw error;
      loop.broken = error.kind === "Break";
      printed = error.printed;
    }
    return new TextValue(printed);
  }

  private evaluateNode(statement: Statement, environment: Scope): RuntimeValue {
    if (statement?.type === "Break" || statement?.type === "Continue") throw new LoopControl(statement.type);
    if (statement?.type === "For") {
      const { body, defaultBlock } = statement as unknown as LoopNode;
      const loop = { body, broken: false, completed: false, iterations: 0 };
      this.loops.push(loop);
      try {
        const value = super.evaluate(statement, environment);
        // Jinja2 takes `else` when no iteration ran to its end; the library has seen them all end.
        if (loop.completed || loop.iterations === 0) return value;
        return new TextValue(value.toString() + this.evaluateBlock(defaultBlock, environment).toString());
      } finally {
        this.loops.pop();
      }
    }
    if (statement?.type === "BinaryExpression") {
      const node = statement as unknown as BinaryNode;
      const operator = node.operator.value;
      if (operator === "==" || operator === "!=") {
        const left = this.evaluate(node.left, environment);
        const equal = pythonEquals(left, this.evaluate(node.right, environment));
        return new TruthValue(equal === (operator === "=="));
      }
      if (operator === "~") {
        const left = pythonStr(this.evaluate(node.left, environment));
        return new TextValue(left + pythonStr(this.evaluate(node.right, environment)));
      }
    } else if (statement?.type === "FilterExpression") {
      const { operand, filter } = statement as unknown as FilterNode;
      if (filter.type === "Identifier") {
        if (filter.value === "trim" || filter.value === "length" || filter.value === "string") {
          const value = this.evaluate(operand, environment);
          if (filter.value === "string") return new TextValue(pythonStr(value));
          if (value.type === "StringValue") {
            const text = value.value as string;
            if (filter.value === "trim") return new TextValue(pythonStrip(text));
            return new NumberValue(Array.from(text).length);
          }
        }
      } else if (filter.callee?.value === "indent" || filter.callee?.value === "tojson") {
        this.checkIndent(filter.args ?? [], environment);
      }
    }
    return super.evaluate(statement, environment);
  }

  /** The library would build the indentation before its size could be seen. */
  private checkIndent(args: readonly Statement[], environment: Scope): void {
    for (const argument of args) {
      const node = argument as unknown as { type: string; value: Statement; argument?: Statement };
      const width = this.evaluate(
        node.type === "KeywordArgumentExpression" ? node.value : argument,
        environment,
      );
      if (typeof width.value === "number" && width.value > MAX_INDENT) {
        throw new TemplateRenderError("limit", `An indentation may have ${MAX_INDENT} spaces.`, undefined);
      }
    }
  }

  private checkSize(value: RuntimeValue): RuntimeValue {
    const content = value.value;
    if (typeof content === "string") {
      if (content.length > this.limits.outputLimit) this.failTooLong();
    } else if (Array.isArray(content) && content.length > MAX_ITEMS) {
      throw new TemplateRenderError("limit", `A list may have ${MAX_ITEMS} items.`, undefined);
    }
    return value;
  }

  private failTooLong(): never {
    const message = `Rendering was stopped at ${this.limits.outputLimit} characters.`;
    throw new TemplateRenderError("limit", message, undefined);
  }

  private explain(error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    const span = this.origins.get(error)?.span;
    if (error instanceof TemplateRenderError) {
      return new TemplateRenderError(error.failure, error.message, error.span ?? span);
    }
    // V8's stack overflow and its longest text.
    if (error instanceof RangeError) {
      return new TemplateRenderError(
        "limit",
        "The template nests too deeply or makes too long a text.",
        span,
      );
    }
    const unsupported = /^(Unknown \w+ filter|Cannot apply filter|Unknown test|Unknown filter|`map` exp)/;
    const failure = unsupported.test(error.message) ? "unsupported" : "runtime";
    return new TemplateRenderError(failure, inPythonWords(error.message), span);
  }
}

/** The library speaks of its own classes; a template's author knows Python's types. */
function inPythonWords(message: string): string {
  const words: Readonly<Record<string, string>> = {
    StringValue: "text",
    IntegerValue: "an integer",
    FloatValue: "a number",
    NumericValue: "a number",
    BooleanValue: "a boolean",
    ArrayValue: "a list",
    TupleValue: "a tuple",
    ObjectValue: "a mapping",
    NamespaceValue: "a namespace",
    FunctionValue: "a function",
    NullValue: "none",
    UndefinedValue: "an undefined variable",
  };
  const filter = /^Unknown (\w+Value) filter: (\w+)$/.exec(message);
  if (filter) return `The filter \`${filter[2]}\` is not supported on ${words[filter[1] as string]}.`;
  return `${message.replace(/\b\w+Value\b/g, (name) => words[name] ?? name)}.`;
}
