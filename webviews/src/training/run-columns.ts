import type { RunSeries, RunSummary } from "../../../language-server/src/protocol";
import { Smoother, SpikeDetector } from "./loss-statistics";
import { NumberColumn } from "./number-column";
import { ValueColumn } from "./value-column";

export type StepColumn = "loss" | "learning_rate" | "grad_norm" | "tokens_per_second" | "memory_bytes";
const stepColumns: readonly StepColumn[] = [
  "loss",
  "learning_rate",
  "grad_norm",
  "tokens_per_second",
  "memory_bytes",
];

/** One run's series in the page: what the host sent, and what is drawn beside it, both kept up point by point. */
export class RunColumns {
  readonly step = new NumberColumn();
  readonly loss = new ValueColumn();
  readonly learning_rate = new ValueColumn();
  readonly grad_norm = new ValueColumn();
  readonly tokens_per_second = new ValueColumn();
  readonly memory_bytes = new ValueColumn();
  readonly smoothed = new ValueColumn();
  readonly evaluation_step = new NumberColumn();
  readonly evaluation_loss = new ValueColumn();
  readonly checkpoint_step = new NumberColumn();
  /** Steps whose loss is not a finite number. */
  readonly notFinite: number[] = [];
  /** Steps whose loss stands far above those before. */
  readonly spikes: number[] = [];
  readonly #spikes = new SpikeDetector();
  #smoother: Smoother;

  constructor(
    public summary: RunSummary,
    smoothing: number,
  ) {
    this.#smoother = new Smoother(smoothing);
  }

  append(series: RunSeries): void {
    for (const [index, step] of series.step.entries()) {
      this.step.push(step);
      for (const column of stepColumns) this[column].push(series[column][index] ?? Number.NaN);
      const loss = this.loss.last;
      this.smoothed.push(this.#smoother.next(loss));
      if (!Number.isFinite(loss)) this.notFinite.push(step);
      else if (this.#spikes.isSpike(loss)) this.spikes.push(step);
    }
    for (const [index, step] of series.evaluation_step.entries()) {
      this.evaluation_step.push(step);
      this.evaluation_loss.push(series.evaluation_loss[index] ?? Number.NaN);
    }
    for (const step of series.checkpoint_step) this.checkpoint_step.push(step);
  }

  setSmoothing(smoothing: number): void {
    this.#smoother = new Smoother(smoothing);
    this.smoothed.clear();
    for (const loss of this.loss.values()) this.smoothed.push(this.#smoother.next(loss));
  }

  /** The last step that anything is known of. */
  get lastStep(): number {
    return Math.max(this.step.length > 0 ? this.step.last : 0, this.evaluation_step.last || 0);
  }

  get isEmpty(): boolean {
    return this.step.length === 0 && this.evaluation_step.length === 0;
  }
}
