import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandFailed, Problem, run } from "../processes.mjs";
import { codeServerEntry } from "./install.mjs";

const startPatience = 60_000;
const stopPatience = 5_000;

/** Settings of a fresh profile: no welcome page, no telemetry, nothing that looks for the network. */
const quietSettings = {
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "telemetry.telemetryLevel": "off",
  "extensions.autoUpdate": false,
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "update.mode": "none",
  "git.openRepositoryInParentFolders": "never",
  "security.workspace.trust.enabled": false,
  "chat.commandCenter.enabled": false,
};

/**
 * @typedef {object} Profile
 * @property {string} userDataDir where settings and state live
 * @property {string} extensionsDir where extensions are installed
 */

/** Writes the settings of a new profile; an existing one keeps what the person chose. */
export function prepareProfile({ userDataDir, extensionsDir }, settings = {}) {
  const file = join(userDataDir, "User", "settings.json");
  mkdirSync(join(userDataDir, "User"), { recursive: true });
  mkdirSync(extensionsDir, { recursive: true });
  if (!existsSync(file))
    writeFileSync(file, `${JSON.stringify({ ...quietSettings, ...settings }, null, 2)}\n`);
}

function profileArguments({ userDataDir, extensionsDir }) {
  return [
    `--user-data-dir=${userDataDir}`,
    `--extensions-dir=${extensionsDir}`,
    // Its own configuration file, or it would write one into the home directory.
    `--config=${join(userDataDir, "code-server.yaml")}`,
  ];
}

/** code-server takes settings from the environment; those of the machine it happens to run on must not leak in. */
function environment(extra = {}) {
  const env = { ...process.env, ...extra };
  for (const name of Object.keys(env)) {
    if (/^(PORT|PASSWORD|HASHED_PASSWORD|VSCODE_.*|CODE_SERVER_.*)$/.test(name)) delete env[name];
  }
  // No marketplace: the workbench would ask it for updates and recommendations.
  env.EXTENSIONS_GALLERY = "{}";
  return env;
}

/** Installs a packaged extension into a profile. */
export async function installExtension(profile, vsix) {
  prepareProfile(profile);
  await run(process.execPath, [
    codeServerEntry,
    ...profileArguments(profile),
    "--install-extension",
    vsix,
    "--force",
  ]);
}

const interrupts = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Serves the workbench on this machine alone.
 * @param {Profile} profile
 * @param {{port?: number, env?: Record<string, string>, onOutput?: (text: string) => void}} options port 0 takes a free one
 * @returns {Promise<{url: string, authority: string, stopped: Promise<void>, stop(): Promise<void>}>} once it answers
 * @throws {Problem} when it ends, or says nothing, instead of listening
 */
export function serveWorkbench(profile, { port = 0, env, onOutput = () => {} } = {}) {
  prepareProfile(profile);
  const child = spawn(
    process.execPath,
    [
      codeServerEntry,
      ...profileArguments(profile),
      ...["--auth", "none", "--bind-addr", `127.0.0.1:${port}`],
      ...["--disable-telemetry", "--disable-update-check", "--disable-workspace-trust"],
      ...["--disable-getting-started-override", "--ignore-last-opened"],
    ],
    // A process group of its own: Ctrl-C reaches us first, and stopping reaches the extension hosts too.
    { env: environment(env), stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  const stopped = new Promise((resolve) => child.once("close", () => resolve()));
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // Already gone.
    }
  };
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) signal("SIGTERM");
    const timer = setTimeout(() => signal("SIGKILL"), stopPatience);
    await stopped;
    clearTimeout(timer);
  };
  // Whatever ends this process, the workbench ends with it: from its first moment on, and however often it is asked.
  const onExit = () => signal("SIGKILL");
  process.once("exit", onExit);
  for (const name of interrupts) process.on(name, stop);
  stopped.then(() => {
    process.removeListener("exit", onExit);
    for (const name of interrupts) process.removeListener(name, stop);
  });

  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => {
      stop();
      reject(new Problem(`The workbench did not start in ${startPatience / 1000} s:\n${output}`));
    }, startPatience);
    const read = (text) => {
      output += text;
      onOutput(text);
      const listening = /HTTP server listening on (http:\/\/(127\.0\.0\.1:\d+))/.exec(output);
      if (!listening) return;
      clearTimeout(timer);
      output = "";
      resolve({ url: listening[1], authority: listening[2], stopped, stop });
    };
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", read);
    child.on("error", reject);
    child.once("close", (code, by) => {
      clearTimeout(timer);
      reject(new CommandFailed("code-server", [], by ?? `status ${code}`, output));
    });
  });
}

/** The page of a folder in a served workbench; `payload` are the pairs VS Code reads from its address. */
export function workbenchAddress({ url }, folder, payload = []) {
  const address = new URL(url);
  address.searchParams.set("folder", folder);
  if (payload.length > 0) address.searchParams.set("payload", JSON.stringify(payload));
  return address.href;
}
