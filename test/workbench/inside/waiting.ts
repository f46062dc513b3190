import type * as vscode from "vscode";

/**
 * Waits until `look` gives something, asking again whenever `event` fires.
 * @throws when nothing came before the patience of a test was over, with what was there instead
 */
export async function until<T>(
  event: vscode.Event<unknown>,
  look: () => T | undefined,
  instead: () => unknown = () => undefined,
  milliseconds = 40_000,
): Promise<T> {
  const now = look();
  if (now !== undefined) return now;
  return new Promise((resolve, reject) => {
    const finish = (end: () => void) => {
      clearTimeout(timer);
      subscription.dispose();
      end();
    };
    const timer = setTimeout(
      () =>
        finish(() =>
          reject(new Error(`Not in ${milliseconds / 1000} s; there was ${JSON.stringify(instead())}`)),
        ),
      milliseconds,
    );
    const subscription = event(() => {
      const found = look();
      if (found !== undefined) finish(() => resolve(found));
    });
  });
}
