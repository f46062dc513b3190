#!/usr/bin/env node
// Runs test/workbench/inside in the extension host of a real VS Code, with the packaged extension.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runTests, TestRunFailedError } from "@vscode/test-electron";
import { build } from "esbuild";
import { unpackExtension } from "../../scripts/package.mjs";
import { dist, root } from "../../scripts/paths.mjs";
import { main } from "../../scripts/processes.mjs";
import { prepareFolder } from "./folder.mjs";

const sources = join(root, "test", "workbench", "inside");
const bundles = join(dist, "test", "inside");

/** A machine with a display can run the desktop VS Code, which the runner downloads; elsewhere our launcher takes its place. */
function launcher() {
  const desktop = process.platform !== "linux" || process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
  return desktop && !process.env.CI ? undefined : fileURLToPath(new URL("launcher.mjs", import.meta.url));
}

await main(async () => {
  rmSync(bundles, { recursive: true, force: true });
  await build({
    entryPoints: readdirSync(sources)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => join(sources, name)),
    outdir: bundles,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    packages: "external",
    external: ["vscode"],
    sourcemap: "inline",
    logLevel: "warning",
  });
  const temporary = mkdtempSync(join(tmpdir(), "ziptie-inside-"));
  const workspace = join(temporary, "workspace");
  prepareFolder(workspace);
  try {
    return await runTests({
      version: "1.100.3",
      vscodeExecutablePath: launcher(),
      extensionDevelopmentPath: await unpackExtension(join(temporary, "extension")),
      extensionTestsPath: join(bundles, "index.js"),
      launchArgs: [
        workspace,
        `--user-data-dir=${join(temporary, "user-data")}`,
        `--extensions-dir=${join(temporary, "extensions")}`,
      ],
    });
  } catch (error) {
    // Its tests have said what failed.
    if (error instanceof TestRunFailedError) return 1;
    throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});
