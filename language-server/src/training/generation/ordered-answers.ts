import type { GenerationEvent, PromptMessages } from "../../protocol";
import type { AnswerText } from "./answer-text";

interface AwaitedAnswer {
  readonly id: string | number;
  readonly prompt: string | PromptMessages;
  readonly text: AnswerText;
}

/** Several texts are written at a time; they are told one after the other, in the order of their prompts. */
export class AnswersInOrder {
  readonly #answers: { awaited: AwaitedAnswer; written: string; told: number; end?: Ending }[];
  /** The answer that is being told, and whether its prompt has been. */
  #current = 0;
  #isBegun = false;
  #finished = 0;

  constructor(
    awaited: readonly AwaitedAnswer[],
    private readonly tell: (event: GenerationEvent) => void,
  ) {
    this.#answers = awaited.map((answer) => ({ awaited: answer, written: "", told: 0 }));
  }

  /** Answers that are whole. */
  get finished(): number {
    return this.#finished;
  }

  token(index: number, id: number): void {
    const answer = this.#at(index);
    answer.written += answer.awaited.text.push(id);
    if (index === this.#current) this.#tellCurrent();
  }

  finish(index: number, tokens: number, finish: "stop" | "length"): void {
    const answer = this.#at(index);
    answer.written += answer.awaited.text.end(finish === "stop");
    answer.end = { tokens, finish };
    this.#finished++;
    while (this.#answers[this.#current]?.end !== undefined) {
      this.#tellCurrent();
      this.#next();
    }
    if (this.#answers[this.#current]?.written) this.#tellCurrent();
  }

  /** Nothing more will come: tells that the current answer will not be whole, and those that are although it is not. */
  close(): void {
    const current = this.#answers[this.#current];
    if (current !== undefined && this.#isBegun) this.tell({ event: "broken_off", id: current.awaited.id });
    for (; this.#current < this.#answers.length; this.#next()) {
      if (this.#answers[this.#current]?.end !== undefined) this.#tellCurrent();
    }
  }

  #at(index: number) {
    const answer = this.#answers[index];
    if (answer === undefined) throw new RangeError(`There is no prompt ${index}.`);
    return answer;
  }

  #tellCurrent(): void {
    const answer = this.#at(this.#current);
    const { id, prompt } = answer.awaited;
    if (!this.#isBegun) this.tell({ event: "prompt", id, prompt });
    this.#isBegun = true;
    const text = answer.written.slice(answer.told);
    answer.told = answer.written.length;
    if (text !== "") this.tell({ event: "text", text });
    if (answer.end) this.tell({ event: "answer", id, prompt, answer: answer.written, ...answer.end });
  }

  #next(): void {
    this.#current++;
    this.#isBegun = false;
  }
}

interface Ending {
  tokens: number;
  finish: "stop" | "length";
}
