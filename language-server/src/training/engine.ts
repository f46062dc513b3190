import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, open, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isAlive } from "./process-identity";
import { hasCode, Refused } from "./refused";
import { lockHolder, passStartLock, releaseStartLock, runFiles } from "./run-directory";

export interface EngineLocation {
  path: string;
  /** Why this one, for the log. */
  origin: "the setting ziptie.engine.path" | "the environment variable ZIPTIE_ENGINE" | "bundled";
}

/**
 * The engine's executable: the explicit setting, else `ZIPTIE_ENGINE`, else the one beside this program. A place that was
 * named but holds no executable is refused; another engine is never taken in its stead.
 * @param setting path from the settings; empty or undefined when there is none
 */
export async function locateEngine(setting?: string): Promise<EngineLocation> {
  const location = chooseEngine(setting);
  const remedy =
    location.origin === "bundled"
      ? "Reinstall the extension, build the engine (npm run setup), or name one in the setting ziptie.engine.path."
      : `It is named by ${location.origin}; correct that, or remove it to use the bundled engine.`;
  let isFile: boolean;
  try {
    isFile = (await stat(location.path)).isFile();
  } catch (error) {
    throw new Refused(
      hasCode(error, "ENOENT", "ENOTDIR")
        ? `There is no engine at ${location.path}. ${remedy}`
        : `The engine at ${location.path} cannot be reached: ${(error as Error).message}. ${remedy}`,
    );
  }
  if (!isFile) throw new Refused(`${location.path} is not a file, so it cannot be the engine. ${remedy}`);
  try {
    await access(location.path, constants.X_OK);
  } catch {
    throw new Refused(`The engine at ${location.path} may not be executed (chmod +x). ${remedy}`);
  }
  return location;
}

function chooseEngine(setting: string | undefined): EngineLocation {
  if (setting) return { path: resolve(setting), origin: "the setting ziptie.engine.path" };
  const fromEnvironment = process.env.ZIPTIE_ENGINE;
  if (fromEnvironment) {
    return { path: resolve(fromEnvironment), origin: "the environment variable ZIPTIE_ENGINE" };
  }
  // dist/server.js and dist/cli.js both have the engine in dist/engine.
  return { path: join(__dirname, "engine", "ziptie-engine"), origin: "bundled" };
}

/**
 * Starts in the background and says which process that is. The shell ends at once, so the engine is nobody's child: a language
 * client that stops its server kills every descendant it finds, and a closing terminal hangs up on its session.
 */
const startInBackground = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!';

/** An engine that has neither taken its lock nor ended by then is slow but alive, and is left to itself. */
const startMilliseconds = 15_000;

/**
 * Starts the engine on a prepared run directory whose start lock this process holds, and waits until it has taken over.
 * The engine outlives this process, its terminal and its window. The start lock is gone afterwards, unless the engine lives
 * on without having taken its own; then the start lock names the engine.
 * @throws Refused with the end of the log when the engine ends before it has said anything
 */
export async function startEngine(
  engine: EngineLocation,
  runDirectory: string,
  mode: "train" | "resume",
): Promise<void> {
  const events = join(runDirectory, runFiles.events);
  const engineLock = join(runDirectory, runFiles.engineLock);
  const log = join(runDirectory, runFiles.log);
  const eventsBefore = await sizeOf(events);
  const logBefore = await sizeOf(log);
  let started = false;
  let lockIsTheEngines = false;
  try {
    const command = [engine.path, "train", join(runDirectory, runFiles.plan)];
    const pid = await spawnDetached(
      mode === "resume" ? [...command, "--resume"] : command,
      runDirectory,
      log,
    );
    const process = await identify(pid);
    if (process !== undefined) {
      await passStartLock(runDirectory, process);
      lockIsTheEngines = true;
    }
    const deadline = Date.now() + startMilliseconds;
    for (let pause = 5; !started && Date.now() < deadline; pause = Math.min(pause * 1.5, 200)) {
      // Alive is asked first: what a dead engine has written is then all there.
      const alive = process !== undefined && (await isAlive(process));
      started = (await lockHolder(engineLock)) !== undefined || (await sizeOf(events)) > eventsBefore;
      if (!started && !alive) throw await startFailure(engine, log, logBefore);
      if (!started) await delay(pause);
    }
  } finally {
    if (
      started ||
      !lockIsTheEngines ||
      (await lockHolder(join(runDirectory, runFiles.startLock))) === undefined
    ) {
      await releaseStartLock(runDirectory);
    }
  }
}

function spawnDetached(command: string[], directory: string, log: string): Promise<number> {
  return new Promise((fulfil, reject) => {
    const shell = spawn("/bin/sh", ["-c", startInBackground, "sh", log, ...command], {
      cwd: directory,
      // Its own session: no terminal's Ctrl-C or hang-up reaches it.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let complaint = "";
    shell.stdout.on("data", (data) => {
      output += data;
    });
    shell.stderr.on("data", (data) => {
      complaint += data;
    });
    shell.on("error", reject);
    shell.on("close", () => {
      const pid = Number(output.trim());
      if (Number.isInteger(pid) && pid > 0) fulfil(pid);
      else
        reject(
          new Refused(`The engine could not be started: ${complaint.trim() || "the shell said nothing"}`),
        );
    });
  });
}

async function startFailure(engine: EngineLocation, log: string, logBefore: number): Promise<Refused> {
  const tail = await logTail(log, logBefore);
  return new Refused(
    `The engine ended as soon as it was started (${engine.path}). ${
      tail ? `It said:\n${tail}` : "It said nothing."
    }`,
  );
}

/** The last lines of a run's log, at most 2 kB, from byte `from` on; "" when there are none. */
export async function logTail(log: string, from = 0): Promise<string> {
  try {
    const file = await open(log, "r");
    try {
      const { size } = await file.stat();
      const start = Math.max(from, size - 2048);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.max(0, size - start)), 0, null, start);
      const text = buffer.subarray(0, bytesRead).toString("utf8");
      return (start > from ? text.slice(text.indexOf("\n") + 1) : text).trim();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return 0;
    throw error;
  }
}
