import type { RunSeries, RunSummary } from "../../../language-server/src/protocol";

/** A run as the host would describe it; `change` replaces what a test is about. */
export function summary(name: string, change: Partial<RunSummary> = {}): RunSummary {
  return {
    run: `/project/runs/${name}`,
    name,
    state: "running",
    step: 412,
    steps: 3120,
    loss: 1.832,
    evaluation_loss: 1.91,
    started: "2025-03-01T09:00:00.000Z",
    config: "/project/sft.ziptie.yaml",
    eta_seconds: 12_720,
    resumable: true,
    exportable: false,
    ...change,
  };
}

/** Numbers that only look like chance (Lehmer's generator), so that every screenshot is the same. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647 - 0.5;
  };
}

export interface SampleOptions {
  from?: number;
  total?: number;
  floor?: number;
  seed?: number;
}

/** A training run as one looks: warm-up and cosine, a falling noisy loss, an evaluation every 50 and a checkpoint every 100 steps. */
export function series(steps: number, options: SampleOptions = {}): RunSeries {
  const { from = 1, total = 3120, floor = 1.6, seed = 7 } = options;
  const random = noise(seed + from);
  const result: RunSeries = {
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
  for (let step = from; step < from + steps; step++) {
    const trend = floor + 2.2 * Math.exp(-step / (total * 0.06)) + 0.3 * Math.exp(-step / (total * 0.5));
    const warmup = total * 0.03;
    result.step.push(step);
    result.loss.push(trend + 0.22 * random());
    result.learning_rate.push(
      1e-4 *
        (step < warmup
          ? step / warmup
          : 0.1 + 0.45 * (1 + Math.cos((Math.PI * (step - warmup)) / (total - warmup)))),
    );
    result.grad_norm.push(0.35 + 1.2 * Math.exp(-step / 80) + 0.12 * random());
    result.tokens_per_second.push(15_900 + 700 * random());
    result.memory_bytes.push(Math.min(11.2e9, 9e9 + step * 2e7));
    if (step % 50 === 0) {
      result.evaluation_step.push(step);
      result.evaluation_loss.push(trend + 0.06);
    }
    if (step % 100 === 0) result.checkpoint_step.push(step);
  }
  return result;
}
