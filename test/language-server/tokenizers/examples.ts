import type { Content, Example } from "../../../language-server/src/datasets/conversation";

/** A content that stands nowhere: for tests that ask for tokens only. */
export function content(text: string): Content {
  return { content: text, span: { start: 0, end: 0 }, pieces: [] };
}

/** Turns of user and assistant alternately, user first. */
export function conversation(...contents: string[]): Extract<Example, { kind: "conversation" }> {
  const turns = contents.map((text, index) => {
    const role = index % 2 ? ("assistant" as const) : ("user" as const);
    return { ...content(text), role, sourceRole: role, roleSpan: { start: 0, end: 0 } };
  });
  return { kind: "conversation", conversation: { turns } };
}
