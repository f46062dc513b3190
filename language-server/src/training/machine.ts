import { availableParallelism, totalmem } from "node:os";

/** What a run has to get along with. */
export interface Machine {
  /** Bytes. */
  memory: number;
  threads: number;
}

/** This machine, or as much of it as this process may use. */
export function thisMachine(): Machine {
  // 0 or larger than any memory when nothing constrains it.
  const constrained = process.constrainedMemory();
  const memory = constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
  return { memory, threads: availableParallelism() };
}
