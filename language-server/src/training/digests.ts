import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Reporter } from "./progress";
import { Refused } from "./refused";

/**
 * SHA-256 of each file in hexadecimal, read as streams.
 * @throws Refused when a file cannot be read; AbortError
 */
export async function sha256OfFiles(
  files: readonly string[],
  report: Reporter,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const digests: Record<string, string> = {};
  let done = 0;
  for (const file of files) {
    const hash = createHash("sha256");
    try {
      for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal })) {
        hash.update(chunk);
        done += chunk.length;
        report({ message: `Checking ${basename(file)}`, fraction: total > 0 ? done / total : 1 });
      }
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Refused(`${file} cannot be read: ${(error as Error).message}`);
    }
    digests[file] = hash.digest("hex");
  }
  return digests;
}
