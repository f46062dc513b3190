import type { Span } from "../text/span";

/** Who speaks, in the words of chat templates. Every format's own names are mapped to these. */
export type Role = "system" | "user" | "assistant" | "tool";

/**
 * A stretch of a content that was copied from one JSON string literal of the document.
 *
 * A content may be glued from several (alpaca's instruction and input, a list of text parts); the glue between them
 * stands nowhere in the document.
 */
export interface ContentPiece {
  /** UTF-16 offset in the content. */
  readonly contentStart: number;
  readonly contentEnd: number;
  /** The literal's characters in the document, without the quotes. */
  readonly span: Span;
}

export interface Content {
  /** Decoded: what the model will see. */
  readonly content: string;
  /** From the first character of the first piece to the last of the last, in the document; without the quotes. */
  readonly span: Span;
  readonly pieces: readonly ContentPiece[];
}

export interface Turn extends Content {
  readonly role: Role;
  /** Where the role is said: the role's string without quotes, or the key (`instruction`) where the format has none. */
  readonly roleSpan: Span;
  /** The role as the file writes it, e.g. `human`, `observation`, `function_call`. */
  readonly sourceRole: string;
  /** The parsed value of the turn's `tool_calls`, for templates that render them. */
  readonly toolCalls?: unknown;
}

export interface Conversation {
  readonly turns: readonly Turn[];
  /** The parsed value of the row's `tools`, for templates that render them. */
  readonly tools?: unknown;
}

/** One row, ready to be rendered and tokenised. Spans point into the document it was read from. */
export type Example =
  | { readonly kind: "conversation"; readonly conversation: Conversation }
  | ({ readonly kind: "text"; readonly text: string } & Omit<Content, "content">)
  | { readonly kind: "prompt-completion"; readonly prompt: Content; readonly completion: Content };
