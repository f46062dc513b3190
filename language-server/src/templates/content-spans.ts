/** Finds where each turn's content came to stand in a rendered text. */
import type { Span } from "../text/span";

/** A stretch of a turn's content that the template printed as it is. */
export interface ContentSpan {
  readonly turn: number;
  /** In the rendered text. */
  readonly span: Span;
  /** UTF-16 offset in the turn's content of the stretch's first character; templates often trim contents. */
  readonly contentStart: number;
}

/** Noncharacters: a mark's number stands between the first two, the content between the second and third. */
const OPEN = "\ufdd0";
const NUMBERED = "\ufdd1";
const CLOSE = "\ufdd2";
const MARKS = /[\ufdd0-\ufdd2]/;
const MARKED = /\ufdd0(\d+)\ufdd1([^\ufdd0-\ufdd2]*)\ufdd2/g;

interface Contents {
  readonly turns: readonly { readonly content: string }[];
}

/**
 * @param text the conversation as rendered
 * @param render renders it with other contents
 * @returns ascending spans; a content that the template changes, or prints twice, is found where it stands unchanged
 */
export function locateContents(
  conversation: Contents,
  text: string,
  render: (contents: readonly string[]) => string,
): ContentSpan[] {
  if (conversation.turns.some(({ content }) => MARKS.test(content))) return search(conversation, text);
  // Marks stand inside the content's outer whitespace, so that a template which trims still does.
  const cores = conversation.turns.map(({ content }) => content.trim());
  const starts = conversation.turns.map(({ content }) => content.length - content.trimStart().length);
  const contents = conversation.turns.map(({ content }, index) => {
    const core = cores[index] ?? "";
    const start = starts[index] ?? 0;
    if (core === "") return content;
    const mark = OPEN + index + NUMBERED + core + CLOSE;
    return content.slice(0, start) + mark + content.slice(start + core.length);
  });
  let marked: string;
  try {
    marked = render(contents);
  } catch {
    // A template may look into the contents and refuse the marks; it has rendered the contents themselves.
    return search(conversation, text);
  }
  const spans: ContentSpan[] = [];
  let removed = 0;
  const plain = marked.replace(MARKED, (mark, number: string, core: string, offset: number) => {
    const turn = Number(number);
    const start = offset - removed;
    removed += mark.length - core.length;
    if (core === cores[turn])
      spans.push({ turn, span: { start, end: start + core.length }, contentStart: starts[turn] ?? 0 });
    return core;
  });
  if (plain !== text) return search(conversation, text);
  return spans.map((found) => withOuterSpace(found, conversation, text));
}

/** Where the template kept the whitespace around a content, it belongs to the content. */
function withOuterSpace(found: ContentSpan, conversation: Contents, text: string): ContentSpan {
  const content = conversation.turns[found.turn]?.content ?? "";
  let { start, end } = found.span;
  let { contentStart } = found;
  let contentEnd = contentStart + (end - start);
  if (contentStart > 0 && text.endsWith(content.slice(0, contentStart), start)) {
    start -= contentStart;
    contentStart = 0;
  }
  const tail = content.slice(contentEnd);
  if (tail !== "" && text.startsWith(tail, end)) {
    contentEnd = content.length;
    end += tail.length;
  }
  return { turn: found.turn, span: { start, end }, contentStart };
}

/** Looks for the contents one after the other. One that cannot be found is left out. */
function search(conversation: Contents, text: string): ContentSpan[] {
  const spans: ContentSpan[] = [];
  let from = 0;
  for (const [turn, { content }] of conversation.turns.entries()) {
    const core = content.trim();
    if (core === "") continue;
    const start = text.indexOf(core, from);
    if (start < 0) continue;
    from = start + core.length;
    const contentStart = content.length - content.trimStart().length;
    spans.push({ turn, span: { start, end: from }, contentStart });
  }
  return spans;
}
