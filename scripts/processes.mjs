import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { root } from "./paths.mjs";

/** A message for a person: what went wrong and what to do. Printed without a stack. */
export class Problem extends Error {
  name = "Problem";
}

/** A command that ended with a status other than 0. */
export class CommandFailed extends Problem {
  name = "CommandFailed";
  constructor(command, args, outcome, output) {
    super(
      `${[command, ...args].join(" ")}\n  ended with ${outcome}${output ? `:\n\n${output.trimEnd()}` : ""}`,
    );
  }
}

/**
 * Runs a command to its end and gives its standard output. With `show` it writes to this terminal; otherwise its output is kept
 * and shown only if it fails.
 * @param {{cwd?: string, env?: Record<string, string>, show?: boolean}} options `env` is added to this process's
 * @throws {CommandFailed}
 */
export function run(command, args, { cwd = root, env = {}, show = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", show ? "inherit" : "pipe", show ? "inherit" : "pipe"],
    });
    let standardOutput = "";
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      standardOutput += text;
      output += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
    child.on("error", (error) => reject(new CommandFailed(command, args, error.message)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(standardOutput);
      else reject(new CommandFailed(command, args, signal ?? `status ${code}`, output));
    });
  });
}

/** Like `run`, but any exit status is an answer. Shows the output. Null when the command could not be started or was killed. */
export async function exitStatus(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", () => resolve(null));
    child.on("close", (code) => resolve(code));
  });
}

/** The full path of the first of these programs that is on the PATH, or null. */
export function findProgram(...names) {
  for (const name of names) {
    for (const directory of (process.env.PATH ?? "").split(delimiter)) {
      if (directory === "") continue;
      const path = join(directory, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not in this directory.
      }
    }
  }
  return null;
}

/** Says what is being done while it is done, and how long it took if that was long enough to be wondered about. */
export async function step(title, action) {
  const started = performance.now();
  process.stdout.write(`• ${title}\n`);
  const result = await action();
  const seconds = (performance.now() - started) / 1000;
  if (seconds > 2) process.stdout.write(`  ${seconds.toFixed(0)} s\n`);
  return result;
}

/** Runs an entry point: problems become a message and exit status 1, never a stack. */
export async function main(action) {
  try {
    process.exitCode = (await action()) ?? 0;
  } catch (error) {
    process.stderr.write(`\n✗ ${error instanceof Problem ? error.message : (error.stack ?? error)}\n`);
    process.exitCode = 1;
  }
}
