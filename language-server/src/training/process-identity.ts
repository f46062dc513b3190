import { readFile } from "node:fs/promises";
import { z } from "zod";

/**
 * Which process, beyond doubt: a pid alone is used again by the system, the pair with its start time is not.
 * `start_time` is field 22 of `/proc/PID/stat`: clock ticks after boot.
 */
export const processIdentitySchema = z.object({
  pid: z.number().int().positive(),
  start_time: z.number().int().nonnegative(),
});

export type ProcessIdentity = z.infer<typeof processIdentitySchema>;

/** The process that has this pid now; undefined when there is none, or it is dead and only waits for its parent. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  const startTime = Number(fields[19]);
  if (state === "Z" || state === "X" || !Number.isSafeInteger(startTime)) return undefined;
  return { pid, start_time: startTime };
}

/** Whether that very process still lives. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identify(identity.pid))?.start_time === identity.start_time;
}

/** Sends SIGTERM to that very process; false when it is gone. Throws when it belongs to somebody else (EPERM). */
export async function terminate(identity: ProcessIdentity): Promise<boolean> {
  if (!(await isAlive(identity))) return false;
  try {
    process.kill(identity.pid, "SIGTERM");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
