import { renderPrompt } from "../../templates/render";
import { isTemplateError } from "../../templates/template-error";
import { templateTokens } from "../../tokenizers/example";
import type { LoadedTokenizer } from "../../tokenizers/tokenizer";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import { pacer, type Reporter } from "../progress";
import type { AnsweringModel } from "./answering-model";
import { type PromptFault, type PromptFile, type PromptTurns, refuseFaults } from "./prompts";

/** A prompt as the model is given it. */
export interface EncodedPrompt {
  readonly ids: readonly number[];
  /** Whether the answer is an assistant's turn, or goes on with the prompt's text. */
  readonly isTurn: boolean;
}

/** The tokenizer works on so many prompts on all cores. */
const promptsAtOnce = 64;

/**
 * Conversations are rendered by the chat template up to where the assistant begins, and tokenised as rendered, which is how
 * they were trained: the template writes BOS. Texts to be continued begin with BOS once, even if they spell it out.
 * @throws Refused naming every prompt that cannot be put to the model; AbortError
 */
export async function encodePrompts(
  file: PromptFile,
  model: AnsweringModel,
  { report, signal }: { report: Reporter; signal: AbortSignal },
): Promise<EncodedPrompt[]> {
  const faults: PromptFault[] = [];
  const encoded: EncodedPrompt[] = [];
  const pace = pacer(signal);
  const { prompts } = file;
  for (let start = 0; start < prompts.length; start += promptsAtOnce) {
    const batch = prompts.slice(start, start + promptsAtOnce);
    const texts: (PromptText | string)[] = [];
    for (const { content } of batch) {
      await pace();
      texts.push(textOf(content, model));
    }
    const results = await encodeTexts(texts, model.tokenizer);
    signal.throwIfAborted();
    for (const [index, { span }] of batch.entries()) {
      const result = results[index] as EncodedPrompt | string;
      const message = typeof result === "string" ? result : whyUnfit(result, model);
      if (message !== undefined) faults.push({ span, message });
      else encoded.push(result as EncodedPrompt);
    }
    report({ message: "Tokenizing the prompts", fraction: (start + batch.length) / prompts.length });
  }
  if (faults.length > 0) refuseFaults(file, faults);
  return encoded;
}

/** A prompt as it is tokenised. */
interface PromptText {
  text: string;
  isTurn: boolean;
  /** Whether it begins with what the tokenizer adds by itself. */
  addSpecialTokens: boolean;
  /** What is put before the text's own tokens. */
  bos: number | undefined;
}

/** @returns what is wrong with the prompt, as text */
function textOf(content: string | PromptTurns, model: AnsweringModel): PromptText | string {
  const { template, tokenizer, name, textIs, beginsAs, templateLeftOut } = model;
  if (typeof content === "string" && textIs === "beginning") {
    return {
      text: content,
      isTurn: false,
      addSpecialTokens: beginsAs === "tokenizer",
      bos: beginsAs === "row" ? tokenizer.special.bos?.id : undefined,
    };
  }
  if (template === null) {
    const why = templateLeftOut
      ? "the chat template, which would put it, is left out"
      : `${name} has no chat template to put it by`;
    return `This is a conversation, but ${why}. Give it a text: \`{"prompt": "…"}\`.`;
  }
  const turns = typeof content === "string" ? { turns: [{ role: "user", content } as const] } : content;
  try {
    const text = renderPrompt(template, turns, templateTokens(tokenizer));
    return { text, isTurn: true, addSpecialTokens: false, bos: undefined };
  } catch (error) {
    if (isTemplateError(error)) return error.message;
    throw error;
  }
}

/** The same prompts in the same order; what is wrong with one in its place. */
async function encodeTexts(
  prompts: readonly (PromptText | string)[],
  tokenizer: LoadedTokenizer,
): Promise<(EncodedPrompt | string)[]> {
  const results: (EncodedPrompt | string)[] = prompts.map((prompt) =>
    typeof prompt === "string" ? prompt : "",
  );
  for (const addSpecialTokens of [false, true]) {
    const these = prompts.flatMap((prompt, index) =>
      typeof prompt !== "string" && prompt.addSpecialTokens === addSpecialTokens ? [{ prompt, index }] : [],
    );
    const encoded = await encodeEach(
      these.map(({ prompt }) => prompt.text),
      tokenizer,
      addSpecialTokens,
    );
    for (const [n, { prompt, index }] of these.entries()) {
      const ids = encoded[n] as readonly number[] | string;
      results[index] =
        typeof ids === "string" ? ids : { ids: trimmed(ids, prompt, tokenizer), isTurn: prompt.isTurn };
    }
  }
  return results;
}

async function encodeEach(
  texts: readonly string[],
  tokenizer: LoadedTokenizer,
  addSpecialTokens: boolean,
): Promise<(readonly number[] | string)[]> {
  try {
    return (await tokenizer.encodeBatch(texts, { addSpecialTokens })).map(({ ids }) => [...ids]);
  } catch (error) {
    if (!(error instanceof TokenizerError)) throw error;
  }
  // One text that the vocabulary cannot express spoils the whole batch; one by one, it is found.
  return Promise.all(
    texts.map(async (text) => {
      try {
        return [...(await tokenizer.encode(text, { addSpecialTokens })).ids];
      } catch (error) {
        if (error instanceof TokenizerError) return error.message;
        throw error;
      }
    }),
  );
}

function trimmed(
  encoded: readonly number[],
  { text, isTurn, addSpecialTokens, bos: first }: PromptText,
  { special: { bos, eos } }: LoadedTokenizer,
): readonly number[] {
  if (isTurn) return encoded;
  const ids = first === undefined ? [...encoded] : [first, ...encoded];
  if (bos?.id !== undefined && ids[0] === bos.id && ids[1] === bos.id) ids.shift();
  // A tokenizer that closes texts would have nothing left to say.
  if (addSpecialTokens && ids.length > 1 && ids.at(-1) === eos?.id && !text.endsWith(eos?.text ?? ""))
    ids.pop();
  return ids;
}

function whyUnfit(
  { ids: { length: count } }: EncodedPrompt,
  { longest }: AnsweringModel,
): string | undefined {
  if (count === 0) {
    return "This prompt is empty, and the tokenizer has no BOS token that an answer could begin after.";
  }
  if (count < longest) return undefined;
  return (
    `This prompt has ${count.toLocaleString("en")} tokens; the model takes ${longest.toLocaleString("en")} ` +
    "with the answer (max_position_embeddings). Shorten it."
  );
}
