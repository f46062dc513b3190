import type { GenerationEvent } from "../../../language-server/src/protocol";

/** What an event adds to a page of answers, which is Markdown: prompts are quoted, answers stand as they are. */
export function answerText(event: GenerationEvent): string {
  switch (event.event) {
    case "begin":
      return `*${event.about}*\n\n`;
    case "prompt": {
      const { prompt } = event;
      const asked = typeof prompt === "string" ? prompt : (prompt.at(-1)?.content ?? "");
      return `${asked.replace(/^/gm, "> ")}\n\n`;
    }
    case "text":
      return event.text;
    case "broken_off":
      return " …\n\n";
    case "answer":
      return event.finish === "length" ? " …\n\n" : "\n\n";
  }
}
