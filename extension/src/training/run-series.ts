import type { RunEvent, RunSeries } from "../../../language-server/src/protocol";

export function emptySeries(): RunSeries {
  return {
    step: [],
    loss: [],
    learning_rate: [],
    grad_norm: [],
    tokens_per_second: [],
    memory_bytes: [],
    evaluation_step: [],
    evaluation_loss: [],
    checkpoint_step: [],
  };
}

const stepColumns = [
  "step",
  "loss",
  "learning_rate",
  "grad_norm",
  "tokens_per_second",
  "memory_bytes",
] as const satisfies (keyof RunSeries)[];
const evaluationColumns = ["evaluation_step", "evaluation_loss"] as const satisfies (keyof RunSeries)[];
const checkpointColumns = ["checkpoint_step"] as const satisfies (keyof RunSeries)[];

/** Shortens columns that share an order by their first one, so that only entries up to `step` remain. */
function keepUpTo(series: RunSeries, columns: readonly (keyof RunSeries)[], step: number): boolean {
  const steps = series[columns[0] as "step"];
  let length = steps.length;
  while (length > 0 && (steps[length - 1] as number) > step) length--;
  if (length === steps.length) return false;
  for (const column of columns) series[column].length = length;
  return true;
}

/** A number that JSON and charts can carry: null for what is missing, infinite or not a number. */
const finite = (value: number | null | undefined): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

/** How much of a series has been handed on. */
export interface SeriesLengths {
  steps: number;
  evaluations: number;
  checkpoints: number;
}

export const lengthsOf = (series: RunSeries): SeriesLengths => ({
  steps: series.step.length,
  evaluations: series.evaluation_step.length,
  checkpoints: series.checkpoint_step.length,
});

/** The points that came after the first `lengths` of a series. */
export function pointsSince(series: RunSeries, lengths: SeriesLengths): RunSeries {
  return {
    step: series.step.slice(lengths.steps),
    loss: series.loss.slice(lengths.steps),
    learning_rate: series.learning_rate.slice(lengths.steps),
    grad_norm: series.grad_norm.slice(lengths.steps),
    tokens_per_second: series.tokens_per_second.slice(lengths.steps),
    memory_bytes: series.memory_bytes.slice(lengths.steps),
    evaluation_step: series.evaluation_step.slice(lengths.evaluations),
    evaluation_loss: series.evaluation_loss.slice(lengths.evaluations),
    checkpoint_step: series.checkpoint_step.slice(lengths.checkpoints),
  };
}

/**
 * The columns of one run's charts, kept up from its events. A resumed run repeats steps after its checkpoint: the abandoned
 * branch is dropped, be it announced by `run_started` with `resumed_from` or seen from a step that is not beyond the last.
 */
export class RunSeriesBuilder {
  readonly series = emptySeries();

  /** Whether points were taken back, so that a copy of the series has to be replaced whole. */
  add(events: readonly RunEvent[]): { rewound: boolean } {
    let rewound = false;
    for (const event of events) rewound = this.#addOne(event) || rewound;
    return { rewound };
  }

  /** Whether points were dropped. */
  #addOne(event: RunEvent): boolean {
    const { series } = this;
    switch (event.event) {
      case "run_started": {
        if (event.resumed_from === undefined) return false;
        // A run that begins again is evaluated again before its first step.
        const last = event.resumed_from === 0 ? -1 : event.resumed_from;
        const steps = keepUpTo(series, stepColumns, last);
        const evaluations = keepUpTo(series, evaluationColumns, last);
        const checkpoints = keepUpTo(series, checkpointColumns, last);
        return steps || evaluations || checkpoints;
      }
      case "step": {
        const rewound = keepUpTo(series, stepColumns, event.step - 1);
        series.step.push(event.step);
        series.loss.push(finite(event.loss));
        series.learning_rate.push(finite(event.learning_rate));
        series.grad_norm.push(finite(event.grad_norm));
        series.tokens_per_second.push(finite(event.tokens_per_second));
        series.memory_bytes.push(finite(event.memory_bytes));
        return rewound;
      }
      case "evaluation": {
        const rewound = keepUpTo(series, evaluationColumns, event.step - 1);
        series.evaluation_step.push(event.step);
        series.evaluation_loss.push(finite(event.loss));
        return rewound;
      }
      case "checkpoint": {
        const rewound = keepUpTo(series, checkpointColumns, event.step - 1);
        series.checkpoint_step.push(event.step);
        return rewound;
      }
      default:
        return false;
    }
  }
}
