#!/usr/bin/env node
// Stands in for the desktop VS Code where there is none: takes the arguments that @vscode/test-electron gives to VS Code, serves the real
// workbench with code-server, opens it in a headless Chromium, and ends with the status of the tests that run in its extension host.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { format, parseArgs } from "node:util";
import { installCodeServer } from "../../scripts/code-server/install.mjs";
import { serveWorkbench, workbenchAddress } from "../../scripts/code-server/serve.mjs";
import { dist } from "../../scripts/paths.mjs";
import { main, Problem } from "../../scripts/processes.mjs";
import { launchChromium, viewport } from "./chromium.mjs";

const patience = 10 * 60_000;
const failures = join(dist, "test-failures");

/** VS Code's arguments that mean something to a served workbench; the others concern the desktop program. */
function readArguments() {
  const { values, positionals } = parseArgs({
    strict: false,
    allowPositionals: true,
    options: {
      extensionTestsPath: { type: "string" },
      extensionDevelopmentPath: { type: "string", multiple: true, default: [] },
      "user-data-dir": { type: "string" },
      "extensions-dir": { type: "string" },
    },
  });
  if (values.extensionTestsPath === undefined) throw new Problem("--extensionTestsPath=FILE is missing.");
  return {
    testsPath: resolve(values.extensionTestsPath),
    developmentPaths: values.extensionDevelopmentPath.map((path) => resolve(path)),
    userDataDir: values["user-data-dir"],
    extensionsDir: values["extensions-dir"],
    folder: positionals[0] && resolve(positionals[0]),
  };
}

/** Runs the tests in the page and gives their exit status. */
async function runInPage(browser, server, { testsPath, developmentPaths, folder }) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  const consoleLines = [];
  page.on("console", (message) => consoleLines.push(`${message.type()}: ${message.text()}`));

  const ended = new Promise((done, failed) => {
    page.on("crash", () => failed(new Problem("The page of the workbench crashed.")));
    page.on("close", () => failed(new Problem("The page of the workbench was closed.")));
    server.stopped.then(() => failed(new Problem("The workbench ended before the tests did.")));
    setTimeout(
      () => failed(new Problem(`The tests did not end in ${patience / 60_000} minutes.`)),
      patience,
    ).unref();
    page.exposeFunction("codeAutomationExit", (code) => done(code));
  });
  ended.catch(() => {});
  await page.exposeFunction("codeAutomationLog", (type, args) => {
    const stream = type === "error" || type === "warn" ? process.stderr : process.stdout;
    stream.write(`${format(...args)}\n`);
  });

  const remote = (path) => `vscode-remote://${server.authority}${path}`;
  const payload = [
    ...developmentPaths.map((path) => ["extensionDevelopmentPath", remote(path)]),
    ["extensionTestsPath", remote(testsPath)],
  ];
  try {
    await page.goto(workbenchAddress(server, folder, payload));
    return await ended;
  } catch (error) {
    mkdirSync(failures, { recursive: true });
    writeFileSync(join(failures, "inside-console.log"), `${consoleLines.join("\n")}\n`);
    await page.screenshot({ path: join(failures, "inside.png") }).catch(() => {});
    throw new Problem(`${error.message}\nThe page's console and picture are in ${failures}.`);
  }
}

await main(async () => {
  const options = readArguments();
  await installCodeServer();
  const temporary = mkdtempSync(join(tmpdir(), "ziptie-workbench-"));
  const profile = {
    userDataDir: options.userDataDir ?? join(temporary, "user-data"),
    extensionsDir: options.extensionsDir ?? join(temporary, "extensions"),
  };
  const server = await serveWorkbench(profile);
  let browser;
  try {
    browser = await launchChromium();
    return await runInPage(browser, server, { ...options, folder: options.folder ?? temporary });
  } finally {
    await browser?.close();
    await server.stop();
    rmSync(temporary, { recursive: true, force: true });
  }
});
