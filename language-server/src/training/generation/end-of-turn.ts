import { renderConversation, renderPrompt } from "../../templates/render";
import type { Template } from "../../templates/template";
import { isTemplateError } from "../../templates/template-error";
import { templateTokens } from "../../tokenizers/example";
import type { LoadedTokenizer } from "../../tokenizers/tokenizer";
import type { AnswerMargins } from "./answer-text";

/** How a chat template ends an answer. */
export interface EndOfTurn {
  /** The special token after an answer; undefined when the template writes none there, or refuses a plain exchange. */
  readonly id: number | undefined;
  readonly margins: AnswerMargins;
}

const noMargins: AnswerMargins = { before: "", after: "" };

/** Learned from a short exchange: whatever a template looks like, this is what follows an answer in training. */
export async function endOfTurn(template: Template, tokenizer: LoadedTokenizer): Promise<EndOfTurn> {
  const question = { role: "user", content: "question" } as const;
  const answer = { role: "assistant", content: "answer" } as const;
  let text: string;
  let prompt: string;
  let span: { start: number; end: number } | undefined;
  try {
    const options = templateTokens(tokenizer);
    prompt = renderPrompt(template, { turns: [question] }, options);
    const rendered = renderConversation(template, { turns: [question, answer] }, options);
    text = rendered.text;
    span = rendered.contentSpans.find(({ turn }) => turn === 1)?.span;
  } catch (error) {
    if (!isTemplateError(error)) throw error;
    return { id: undefined, margins: noMargins };
  }
  if (span === undefined) return { id: undefined, margins: noMargins };
  const before = text.startsWith(prompt) ? text.slice(prompt.length, span.start) : "";
  const encoded = await tokenizer.encode(text, { addSpecialTokens: false });
  const { ids, spans } = encoded;
  for (const [index, id] of ids.entries()) {
    const [start = 0, end = 0] = [spans[2 * index], spans[2 * index + 1]];
    if (end <= span.end || tokenizer.kind(id) !== "special") continue;
    const name = tokenizer.token(id);
    // Where the special token itself stands: a tokenizer may count the spaces before it as its own.
    const at = text.indexOf(name, Math.min(start, end - name.length));
    const after = text.slice(span.end, at < 0 ? start : at);
    // Anything but whitespace before it, and it is not the answer that it ends.
    if (after.trim() !== "") break;
    return { id, margins: { before: before.trim() === "" ? before : "", after } };
  }
  return { id: undefined, margins: { before: before.trim() === "" ? before : "", after: "" } };
}
