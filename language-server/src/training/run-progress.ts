import type { RunEvent } from "./events";

/** So many of the latest `step` events tell how fast a run goes. */
const recentSteps = 50;

/** What a run's events say about it so far: fed event by event, in order. */
export class RunProgress {
  /** Optimizer steps of the whole run; 0 until the engine has said so. */
  steps = 0;
  /** The last `run_finished` or `run_failed`, unless the run was taken up again since. */
  end: Extract<RunEvent, { event: "run_finished" | "run_failed" }> | undefined;
  hasStarted = false;
  lastTime: string | undefined;
  #points: { step: number; loss: number | null; time: number }[] = [];
  #evaluations: { step: number; loss: number | null }[] = [];
  /** Where in `#points` the process that trains now began. */
  #sessionStart = 0;
  #resumedFrom = 0;

  add(event: RunEvent): void {
    this.lastTime = event.time;
    switch (event.event) {
      case "run_started":
        this.hasStarted = true;
        this.end = undefined;
        this.steps = event.steps;
        if (event.resumed_from !== undefined) this.#forgetAfter(event.resumed_from);
        this.#sessionStart = this.#points.length;
        break;
      case "step":
        this.#points.push({ step: event.step, loss: event.loss, time: Date.parse(event.time) });
        break;
      case "evaluation":
        this.#evaluations.push({ step: event.step, loss: event.loss });
        break;
      case "run_finished":
      case "run_failed":
        this.end = event;
        break;
    }
  }

  /** The last optimizer step that is done. */
  get step(): number {
    const last = this.#points.at(-1)?.step ?? 0;
    const ended = this.end?.event === "run_finished" ? this.end.step : 0;
    return Math.max(last, ended, this.#resumedFrom);
  }

  /** Mean negative log-likelihood per supervised token of the last step that is known. */
  get loss(): number | null {
    if (this.end?.event === "run_finished" && typeof this.end.loss === "number") return this.end.loss;
    return this.#points.at(-1)?.loss ?? null;
  }

  get evaluationLoss(): number | null {
    if (this.end?.event === "run_finished" && typeof this.end.evaluation_loss === "number") {
      return this.end.evaluation_loss;
    }
    return this.#evaluations.at(-1)?.loss ?? null;
  }

  /** Seconds to the last step, from the wall time of the recent ones; undefined before there are two. */
  get etaSeconds(): number | undefined {
    const first = this.#points[Math.max(this.#sessionStart, this.#points.length - recentSteps)];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined || last.step <= first.step) return undefined;
    const seconds = (last.time - first.time) / 1000 / (last.step - first.step);
    return Number.isFinite(seconds) ? Math.max(0, (this.steps - last.step) * seconds) : undefined;
  }

  #forgetAfter(step: number): void {
    this.#points = this.#points.filter((point) => point.step <= step);
    // A run that begins again is evaluated again before its first step.
    this.#evaluations = this.#evaluations.filter((evaluation) => step > 0 && evaluation.step <= step);
    this.#resumedFrom = step;
  }
}
