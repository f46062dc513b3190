#!/usr/bin/env node
// npm start: build everything, install the extension into a VS Code, and open the example in it.
import { createServer } from "node:net";
import { join } from "node:path";
import { installCodeServer } from "./code-server/install.mjs";
import { installExtension, serveWorkbench, workbenchAddress } from "./code-server/serve.mjs";
import { packageExtension, vsix } from "./package.mjs";
import { dist, root } from "./paths.mjs";
import { findProgram, main, run, step } from "./processes.mjs";
import { setUp } from "./setup.mjs";
import { fingerprint, unlessDone } from "./stamps.mjs";

const example = join(root, "examples", "traditional-chinese");
/** The same port each time keeps the browser's memory of open editors; it is left to whoever has it already. */
const preferredPort = 8757;

function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

async function openDesktop(code) {
  await step(`install the extension into ${code}`, () => run(code, ["--install-extension", vsix, "--force"]));
  await run(code, [example]);
}

async function openInBrowser() {
  await installCodeServer();
  const workbench = join(dist, "workbench");
  const profile = { userDataDir: join(workbench, "user-data"), extensionsDir: join(workbench, "extensions") };
  await unlessDone("installed-extension", fingerprint([vsix]), profile.extensionsDir, () =>
    step("install the extension into the browser workbench", () => installExtension(profile, vsix)),
  );
  const port = (await isFree(preferredPort)) ? preferredPort : 0;
  const server = await serveWorkbench(profile, { port });
  process.stdout.write(
    `\nVS Code with Ziptie is open on the example at\n\n  ${workbenchAddress(server, example)}\n\nCtrl-C ends it.\n`,
  );
  await server.stopped;
}

await main(async () => {
  await setUp();
  await packageExtension();
  const code = findProgram("code");
  await (code === null ? openInBrowser() : openDesktop(code));
});
