#!/usr/bin/env node
// npm run setup: install and build everything, then exit. Done again, it does only what changed.
import { pathToFileURL } from "node:url";
import { main, run, step } from "./processes.mjs";
import { installDependencies, linkCommand } from "./setup/dependencies.mjs";
import { buildEngine } from "./setup/engine.mjs";
import { ensurePrerequisites } from "./setup/prerequisites.mjs";

/** Everything that a person needs to run Ziptie from this checkout. */
export async function setUp() {
  await ensurePrerequisites("build");
  await installDependencies();
  // In a process of its own: bundling needs node_modules, which this one may have been started without.
  await step("bundle the extension, the server and the panels", () =>
    run(process.execPath, ["scripts/build.mjs"]),
  );
  linkCommand();
  await buildEngine();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(setUp);
