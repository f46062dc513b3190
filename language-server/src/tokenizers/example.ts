/**
 * Examples as the tokens a model is trained on. The preview and the token shards both come from here, so what is seen is
 * what is trained.
 *
 * - A text row is BOS, the text, EOS, with loss on every predicted token (all but the first).
 * - A conversation is the template's rendering, tokenised once without adding special tokens: those that the template
 *   writes are found in the text. Loss is where `Rendered.lossSpans` says.
 * - A prompt with its completion is BOS, prompt and completion as one text, EOS, with loss on the completion and EOS.
 *   A template has no part in it.
 *
 * BOS is left out where the tokenizer has none.
 */
import type { Content, Example } from "../datasets/conversation";
import { type Rendered, type RenderOptions, renderConversation } from "../templates/render";
import type { Template } from "../templates/template";
import { TemplateRenderError } from "../templates/template-error";
import type { Finding } from "../text/span";
import type { Encoded } from "./encoded";
import { lossMaskOf } from "./loss-mask";
import type { LoadedTokenizer } from "./tokenizer";
import { TokenizerError } from "./tokenizer-error";

export interface ExampleOptions {
  /** The longest row in tokens; longer ones are shortened or dropped. */
  readonly maxLength?: number | undefined;
  /** `cut` keeps the first `maxLength` tokens, `drop` gives the row up. */
  readonly truncation?: "cut" | "drop" | undefined;
  /** What a template's `strftime_now` says, and the rendering limits. */
  readonly rendering?: Pick<RenderOptions, "now" | "limits"> | undefined;
}

/** What a row longer than `maxLength` loses. */
export interface Cut {
  readonly maxLength: number;
  readonly tokensLost: number;
  readonly supervisedLost: number;
}

/** A content of the dataset, at a place of the text that was tokenised. */
export interface PlacedContent {
  readonly content: Pick<Content, "pieces">;
  /** In `EncodedExample.text`. */
  readonly start: number;
  readonly end: number;
  /** Offset in the content of its first character that stands there. */
  readonly contentStart: number;
}

export interface EncodedExample {
  /** What was tokenised. BOS and EOS that were added stand at its ends, without characters. */
  readonly text: string;
  readonly ids: Uint32Array;
  /** 1 where predicting the token carries loss; as long as `ids`. */
  readonly lossMask: Uint8Array;
  /** Start and end of every token in `text`, in UTF-16; twice as long as `ids`. */
  readonly spans: Uint32Array;
  /** Tokens of the row before it was cut. */
  readonly count: number;
  /** Those of them that carry loss. */
  readonly supervised: number;
  /** Set when the row is longer than `maxLength`. */
  readonly cut?: Cut;
  /** Whether the row is given up; then it has all its tokens still. */
  readonly dropped: boolean;
  /** Where the dataset's own words stand in `text`; computed when first asked for. */
  readonly contents: readonly PlacedContent[];
  /** Why no loss spans were found, in the template's source. */
  readonly finding?: Finding;
}

/**
 * @param template how conversations are rendered; other examples need none
 * @throws TemplateRenderError when the template refuses the conversation
 * @throws TokenizerError when the tokenizer lacks what the row needs
 */
export async function encodeExample(
  example: Example,
  template: Template | null,
  tokenizer: LoadedTokenizer,
  options: ExampleOptions = {},
): Promise<EncodedExample> {
  const [encoded] = await encodeExamples([example], template, tokenizer, options);
  if (encoded instanceof TemplateRenderError) throw encoded;
  return encoded as EncodedExample;
}

/** As `encodeExample`, of many examples on all cores. Where the template refuses one, its error stands in its place. */
export async function encodeExamples(
  examples: readonly Example[],
  template: Template | null,
  tokenizer: LoadedTokenizer,
  options: ExampleOptions = {},
): Promise<(EncodedExample | TemplateRenderError)[]> {
  const prepared = examples.map((example) => prepare(example, template, tokenizer, options));
  const texts = prepared.flatMap((row) => (row instanceof TemplateRenderError ? [] : [row.text]));
  const batch = await tokenizer.encodeBatch(texts, { addSpecialTokens: false });
  let next = 0;
  return prepared.map((row) => {
    if (row instanceof TemplateRenderError) return row;
    return finish(row, batch[next++] as Encoded, options);
  });
}

/** An example as a text, before it is tokenised. */
interface PreparedRow {
  readonly text: string;
  /** Ids put before and after the text's own. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Of the text's own tokens; everything carries loss if absent. */
  readonly lossSpans: Rendered["lossSpans"] | undefined;
  readonly contents: () => PlacedContent[];
  readonly finding?: Finding | undefined;
}

function prepare(
  example: Example,
  template: Template | null,
  tokenizer: LoadedTokenizer,
  options: ExampleOptions,
): PreparedRow | TemplateRenderError {
  switch (example.kind) {
    case "text": {
      const { text } = example;
      const contents = () => [{ content: example, start: 0, end: text.length, contentStart: 0 }];
      return { text, ...ends(tokenizer), lossSpans: undefined, contents };
    }
    case "prompt-completion": {
      const { prompt, completion } = example;
      const text = prompt.content + completion.content;
      const start = prompt.content.length;
      return {
        text,
        ...ends(tokenizer),
        lossSpans: [{ start, end: text.length }],
        contents: () => [
          { content: prompt, start: 0, end: start, contentStart: 0 },
          { content: completion, start, end: text.length, contentStart: 0 },
        ],
      };
    }
    case "conversation":
      if (!template) throw new TypeError("A conversation cannot be encoded without a template.");
      return prepareConversation(example, template, tokenizer, options);
  }
}

function prepareConversation(
  { conversation }: Extract<Example, { kind: "conversation" }>,
  template: Template,
  tokenizer: LoadedTokenizer,
  options: ExampleOptions,
): PreparedRow | TemplateRenderError {
  let rendered: Rendered;
  try {
    rendered = renderConversation(template, conversation, {
      ...options.rendering,
      ...templateTokens(tokenizer),
    });
  } catch (error) {
    if (error instanceof TemplateRenderError) return error;
    throw error;
  }
  return {
    text: rendered.text,
    before: [],
    after: [],
    lossSpans: rendered.lossSpans,
    finding: rendered.finding,
    contents: () =>
      rendered.contentSpans.flatMap(({ turn, span, contentStart }) => {
        const content = conversation.turns[turn];
        return content ? [{ content, ...span, contentStart }] : [];
      }),
  };
}

/** A tokenizer's special tokens as templates name them. */
export function templateTokens({ special: { bos, eos, unk, pad } }: LoadedTokenizer): RenderOptions {
  return { bos_token: bos?.text, eos_token: eos?.text, unk_token: unk?.text, pad_token: pad?.text };
}

function ends({ special, path }: LoadedTokenizer): { before: number[]; after: number[] } {
  const { bos, eos } = special;
  const lacking = (role: string, why: string) =>
    new TokenizerError("incomplete", path, `The tokenizer ${path} ${why}, so rows have no ${role}.`);
  if (!eos) throw lacking("end", "names no `eos_token`");
  if (eos.id === undefined)
    throw lacking("end", `lacks the token \`${eos.text}\` that it names as \`eos_token\``);
  if (!bos) return { before: [], after: [eos.id] };
  if (bos.id === undefined)
    throw lacking("start", `lacks the token \`${bos.text}\` that it names as \`bos_token\``);
  return { before: [bos.id], after: [eos.id] };
}

function finish(row: PreparedRow, encoded: Encoded, options: ExampleOptions): EncodedExample {
  const { before, after, lossSpans, text } = row;
  const count = before.length + encoded.ids.length + after.length;
  const ids = new Uint32Array(count);
  ids.set(before);
  ids.set(encoded.ids, before.length);
  ids.set(after, count - after.length);
  const lossMask = new Uint8Array(count).fill(1);
  if (lossSpans) lossMask.set(lossMaskOf(encoded.spans, lossSpans), before.length);
  // Nothing predicts a row's first token.
  if (count > 0) lossMask[0] = 0;

  const supervised = sum(lossMask);
  const { maxLength = Number.POSITIVE_INFINITY, truncation = "cut" } = options;
  const long = count > maxLength;
  const dropped = long && truncation === "drop";
  const kept = long && !dropped ? maxLength : count;
  const cut: Cut | undefined = long
    ? {
        maxLength,
        tokensLost: dropped ? count : count - kept,
        supervisedLost: dropped ? supervised : sum(lossMask.subarray(kept)),
      }
    : undefined;
  let contents: readonly PlacedContent[] | undefined;
  let spans: Uint32Array | undefined;
  return {
    text,
    ids: ids.subarray(0, kept),
    lossMask: lossMask.subarray(0, kept),
    get spans() {
      spans ??= spansWithEnds(encoded, before.length, after.length, text.length).subarray(0, 2 * kept);
      return spans;
    },
    count,
    supervised,
    ...(cut ? { cut } : {}),
    dropped,
    get contents() {
      contents ??= row.contents();
      return contents;
    },
    ...(row.finding ? { finding: row.finding } : {}),
  };
}

function spansWithEnds(encoded: Encoded, before: number, after: number, length: number): Uint32Array {
  if (before + after === 0) return encoded.spans;
  const spans = new Uint32Array(2 * (before + encoded.ids.length + after)).fill(length);
  spans.fill(0, 0, 2 * before);
  spans.set(encoded.spans, 2 * before);
  return spans;
}

function sum(mask: Uint8Array): number {
  let total = 0;
  for (const bit of mask) total += bit;
  return total;
}
