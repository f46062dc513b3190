import { z } from "zod";

/**
 * How a key of the config is written down: its type, what it does, its default and whose name it has.
 */
export type Source =
  | "HF TrainingArguments"
  | "HF LlamaConfig"
  | "TRL SFTConfig"
  | "TRL ModelConfig"
  | "PEFT"
  | "Unsloth"
  | "HF BpeTrainer"
  | "SentencePiece"
  | "Ziptie";

export interface KeyDoc {
  readonly source: Source;
  /** What the key does, in one or two sentences of Markdown. */
  readonly says: string;
  /** What happens without the key, when that is not one constant; or why the constant differs from the source's. */
  readonly default?: string;
}

function describe(doc: KeyDoc, constant: unknown): string {
  const parts = [doc.says];
  const value = constant === undefined ? "" : `\`${JSON.stringify(constant).replace(/^"(.*)"$/, "$1")}\``;
  const text = [value, doc.default].filter(Boolean).join(", ");
  if (text) parts.push(`Default: ${text}.`);
  parts.push(doc.source === "Ziptie" ? "Ziptie's own key." : `Name and meaning: ${doc.source}.`);
  return parts.join("\n\n");
}

/** A key with a constant default. */
export function key<T extends z.ZodType>(type: T, constant: z.input<T> & z.output<T>, doc: KeyDoc) {
  return type
    .default(constant as never)
    .meta({ description: describe(doc, constant) }) as unknown as z.ZodDefault<T>;
}

/** A key that must be there. */
export function required<T extends z.ZodType>(type: T, doc: KeyDoc): T {
  return type.meta({ description: describe(doc, undefined) });
}

/** A key that may be absent. */
export function optional<T extends z.ZodType>(type: T, doc: KeyDoc) {
  return type.optional().meta({ description: describe(doc, undefined) }) as unknown as z.ZodOptional<T>;
}

/** At most 2³¹ − 1, so that products of two fit a number. */
export const count = z.int().min(1).max(2147483647);
/** Sizes of a model, as far as `native/engine/io/hf_config.cpp` accepts them. */
export const width = z
  .int()
  .min(1)
  .max(2 ** 22);
export const layers = z
  .int()
  .min(1)
  .max(2 ** 12);
export const tokens = z
  .int()
  .min(1)
  .max(2 ** 24);
export const path = z.string().min(1);
/** HF's `*_steps`: a whole number of steps, or a share of the run below 1. */
export const stepsOrShare = z
  .number()
  .positive()
  .refine((steps) => steps < 1 || Number.isInteger(steps), {
    error: "takes a whole number of steps, or a share of the run below 1",
  });

export const hf = "HF TrainingArguments";
export const llama = "HF LlamaConfig";
export const sft = "TRL SFTConfig";
export const trlModel = "TRL ModelConfig";
export const unsloth = "Unsloth";
