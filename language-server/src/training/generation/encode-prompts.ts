import { renderPrompt } from "../../templates/render";
import { isTemplateError } from "../../templates/template-error";
import { templateTokens } from "../../tokenizers/example";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import type { AnsweringModel } from "./answering-model";
import { type PromptFault, type PromptFile, type PromptTurns, refuseFaults } from "./prompts";

/** A prompt as the model is given it. */
export interface EncodedPrompt {
  readonly ids: readonly number[];
  /** Whether the answer is an assistant's turn, or goes on with the prompt's text. */
  readonly isTurn: boolean;
}

/**
 * Conversations are rendered by the chat template up to where the assistant begins, and tokenised as rendered, which is how
 * they were trained: the template writes BOS. Texts to be continued begin with BOS once, even if they spell it out.
 * @throws Refused naming every prompt that cannot be put to the model
 */
export async function encodePrompts(file: PromptFile, model: AnsweringModel): Promise<EncodedPrompt[]> {
  const faults: PromptFault[] = [];
  const encoded: EncodedPrompt[] = [];
  for (const { content, span } of file.prompts) {
    const result = await encodePrompt(content, model);
    if (typeof result === "string") faults.push({ span, message: result });
    else encoded.push(result);
  }
  if (faults.length > 0) refuseFaults(file, faults);
  return encoded;
}

/** @returns what is wrong with the prompt, as text */
async function encodePrompt(
  content: string | PromptTurns,
  model: AnsweringModel,
): Promise<EncodedPrompt | string> {
  let prompt: EncodedPrompt | string;
  try {
    const turns = typeof content === "string" ? turnsOf(content, model) : content;
    prompt = turns === null ? await beginning(content as string, model) : await conversation(turns, model);
  } catch (error) {
    if (isTemplateError(error) || error instanceof TokenizerError) return error.message;
    throw error;
  }
  if (typeof prompt === "string") return prompt;
  const count = prompt.ids.length;
  if (count === 0)
    return "This prompt is empty, and the tokenizer has no BOS token that an answer could begin after.";
  if (count >= model.longest) {
    return (
      `This prompt has ${count.toLocaleString("en")} tokens; the model takes ${model.longest.toLocaleString("en")} ` +
      "with the answer (max_position_embeddings). Shorten it."
    );
  }
  return prompt;
}

const turnsOf = (content: string, { textIs }: AnsweringModel): PromptTurns | null =>
  textIs === "turn" ? { turns: [{ role: "user", content }] } : null;

async function conversation(
  turns: PromptTurns,
  { template, tokenizer, name }: AnsweringModel,
): Promise<EncodedPrompt | string> {
  if (template === null) {
    return `This is a conversation, but ${name} has no chat template to put it by. Give it a text: \`{"prompt": "…"}\`.`;
  }
  const text = renderPrompt(template, turns, templateTokens(tokenizer));
  const { ids } = await tokenizer.encode(text, { addSpecialTokens: false });
  return { ids: [...ids], isTurn: true };
}

async function beginning(text: string, { tokenizer, beginsAs }: AnsweringModel): Promise<EncodedPrompt> {
  const { bos, eos } = tokenizer.special;
  const encoded = await tokenizer.encode(text, { addSpecialTokens: beginsAs === "tokenizer" });
  let ids = [...encoded.ids];
  if (beginsAs === "row" && bos?.id !== undefined) ids.unshift(bos.id);
  const twice = bos?.id !== undefined && ids[0] === bos.id && ids[1] === bos.id;
  if (twice) ids = ids.slice(1);
  // A tokenizer that closes texts would have nothing left to say.
  if (beginsAs === "tokenizer" && ids.length > 1 && ids.at(-1) === eos?.id && !text.endsWith(eos?.text ?? ""))
    ids.pop();
  return { ids, isTurn: false };
}
