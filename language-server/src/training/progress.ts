/** How far a preparation is. */
export interface Progress {
  /** What is being done, for a person. */
  message: string;
  /** Of the step that `message` names, 0 to 1. */
  fraction: number;
}

export type Reporter = (progress: Progress) => void;

/** So long may one thread work before it answers others. */
const sliceMilliseconds = 8;

/** Passes progress on at most ten times a second: people read no faster, and a message costs. */
export function throttled(report: Reporter): Reporter {
  let last = 0;
  return (progress) => {
    const now = performance.now();
    if (now - last < 100 && progress.fraction < 1) return;
    last = now;
    report(progress);
  };
}

/** Lets a long loop breathe: awaited each time around, it returns to the event loop now and then, and ends when cancelled. */
export function pacer(signal: AbortSignal): () => Promise<void> | undefined {
  let sliceEnd = performance.now() + sliceMilliseconds;
  return () => {
    if (performance.now() < sliceEnd) return undefined;
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        sliceEnd = performance.now() + sliceMilliseconds;
        if (signal.aborted) reject(signal.reason);
        else resolve();
      });
    });
  };
}
