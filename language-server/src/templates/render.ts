/** Conversation + template → the text a model is trained on, and the spans of it that carry loss. */
import type { Conversation, Turn } from "../datasets/conversation";
import type { Finding, Span } from "../text/span";
import { type ContentSpan, locateContents } from "./content-spans";
import { DEFAULT_RENDER_LIMITS, interpret, type RenderLimits } from "./interpreter";
import { mainLoopSpan } from "./jinja-parser";
import type { Template } from "./template";
import { TemplateRenderError } from "./template-error";

/** What rendering needs of a conversation. */
export interface RenderableConversation {
  readonly turns: readonly Pick<Turn, "role" | "content" | "toolCalls">[];
  readonly tools?: Conversation["tools"];
}

export interface RenderOptions {
  /** The tokenizer's, as `apply_chat_template` passes them; one that is absent is undefined in the template. */
  readonly bos_token?: string | undefined;
  readonly eos_token?: string | undefined;
  readonly unk_token?: string | undefined;
  readonly pad_token?: string | undefined;
  /** What `strftime_now` says; the current time if absent. */
  readonly now?: Date;
  readonly limits?: RenderLimits;
}

export interface Rendered {
  readonly text: string;
  /** Where a token carries loss, ascending and disjoint, in UTF-16 offsets of `text`. */
  readonly lossSpans: readonly Span[];
  /** Where the turns' contents stand in `text`. Computed when first asked for: it takes another rendering. */
  readonly contentSpans: readonly ContentSpan[];
  /** `template-prefix-unstable`, when no loss spans could be found. Its span is in the template's source. */
  readonly finding?: Finding;
}

/**
 * Renders a whole conversation as `apply_chat_template(messages)` does.
 *
 * Loss spans are what `{% generation %}` encloses. A template without it is rendered turn by turn: an assistant turn is
 * what the rendering up to it has more than the prompt before it (with `add_generation_prompt`, if that is how the
 * turn begins), including what the template writes after the answer.
 *
 * @throws TemplateRenderError when the template refuses the conversation, fails, or exceeds a limit
 */
export function renderConversation(
  template: Template,
  conversation: RenderableConversation,
  options: RenderOptions,
): Rendered {
  const render = renderer(template, conversation, options);
  const turns = conversation.turns.length;
  const located = (text: string) => {
    let spans: readonly ContentSpan[] | undefined;
    return () => {
      spans ??= locateContents(conversation, text, (contents) => render(turns, { contents }).text);
      return spans;
    };
  };
  const { text, generated } = render(turns);
  const contents = located(text);
  const loss = template.hasGenerationTags
    ? { lossSpans: generated }
    : prefixSpans(template, conversation, text, render);
  return {
    text,
    ...loss,
    get contentSpans() {
      return contents();
    },
  };
}

/** The prompt that a model is given to answer the conversation's last turn. */
export function renderPrompt(
  template: Template,
  conversation: RenderableConversation,
  options: RenderOptions,
): string {
  return renderer(template, conversation, options)(conversation.turns.length, { prompt: true }).text;
}

interface RenderedTurns {
  text: string;
  generated: Span[];
}
type Renderer = (turns: number, how?: { prompt?: boolean; contents?: readonly string[] }) => RenderedTurns;

function renderer(
  template: Template,
  conversation: RenderableConversation,
  options: RenderOptions,
): Renderer {
  const { now, limits, ...tokens } = options;
  const special = Object.fromEntries(Object.entries(tokens).filter(([, text]) => text !== undefined));
  const marks = unusedMarks(conversation);
  let spent = 0;
  return (turns, { prompt = false, contents } = {}) => {
    const messages = conversation.turns.slice(0, turns).map((turn, index) => ({
      role: turn.role,
      content: contents?.[index] ?? turn.content,
      ...(turn.toolCalls === undefined ? {} : { tool_calls: turn.toolCalls }),
    }));
    const variables = {
      messages,
      tools: conversation.tools ?? null,
      documents: null,
      add_generation_prompt: prompt,
      ...special,
    };
    const begin = performance.now();
    const marked = interpret(template.parsed, variables, marks, limits ?? DEFAULT_RENDER_LIMITS, now, spent);
    spent += performance.now() - begin;
    return template.hasGenerationTags ? takeMarks(marked, marks) : { text: marked, generated: [] };
  };
}

/** Unicode's noncharacters are never text; in the odd file that has some, others are taken. */
function unusedMarks(conversation: RenderableConversation): { start: string; end: string } {
  for (let code = 0xfdd8; code < 0xfdf0; code += 2) {
    const [start, end] = [String.fromCharCode(code), String.fromCharCode(code + 1)];
    if (!conversation.turns.some(({ content }) => content.includes(start) || content.includes(end))) {
      return { start, end };
    }
  }
  const message = "The conversation contains every noncharacter from U+FDD8 to U+FDEF; it cannot be marked.";
  throw new TemplateRenderError("limit", message, undefined);
}

/** Takes the marks out of a rendering. Nested generations count as one. */
function takeMarks(marked: string, marks: { start: string; end: string }): RenderedTurns {
  const generated: Span[] = [];
  const parts: string[] = [];
  let length = 0;
  let depth = 0;
  let start = 0;
  for (const part of marked.split(new RegExp(`([${marks.start}${marks.end}])`))) {
    if (part === marks.start) {
      if (depth++ === 0) start = length;
    } else if (part === marks.end) {
      if (--depth === 0 && length > start) generated.push({ start, end: length });
    } else {
      parts.push(part);
      length += part.length;
    }
  }
  return { text: parts.join(""), generated };
}

function prefixSpans(
  template: Template,
  conversation: RenderableConversation,
  text: string,
  render: Renderer,
): { lossSpans: Span[]; finding?: Finding } {
  const lossSpans: Span[] = [];
  const { turns } = conversation;
  for (const [index, turn] of turns.entries()) {
    if (turn.role !== "assistant") continue;
    const end = index + 1 === turns.length ? text : render(index + 1).text;
    const start = promptOf(render, index, end);
    if (start === undefined || !text.startsWith(end)) {
      const where = `turn ${index + 1}`;
      return {
        lossSpans: [],
        finding: {
          rule: "template-prefix-unstable",
          span: mainLoopSpan(template.parsed.lexed),
          message:
            `No loss spans found: what this template renders up to ${where} changes when ${where} or later turns are ` +
            "added, so an answer's text cannot be told apart. Enclose it in `{% generation %}` … `{% endgeneration %}`.",
        },
      };
    }
    if (end.length > start) lossSpans.push({ start, end: end.length });
  }
  return { lossSpans };
}

/** Length of the prompt that `answered` continues; undefined if it continues neither prompt. */
function promptOf(render: Renderer, turns: number, answered: string): number | undefined {
  for (const prompt of [true, false]) {
    const text = renderedOrEmpty(render, turns, prompt);
    if (text !== undefined && answered.startsWith(text)) return text.length;
  }
  return undefined;
}

/** Many templates fail on no turns at all; then the prompt is empty. */
function renderedOrEmpty(render: Renderer, turns: number, prompt: boolean): string | undefined {
  if (turns > 0) return render(turns, { prompt }).text;
  try {
    return render(turns, { prompt }).text;
  } catch (error) {
    if (error instanceof TemplateRenderError && error.failure !== "limit") return prompt ? undefined : "";
    throw error;
  }
}
