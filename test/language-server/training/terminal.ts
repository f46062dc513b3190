import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(__dirname, "../../..");

/**
 * Bundles the terminal program as the product does, from the sources as they are now.
 * @param name of a folder in `dist/test`, where the native tokenizers are found
 * @returns path of its `cli.js`
 */
export async function bundleProgram(name: string): Promise<string> {
  const outdir = join(root, "dist", "test", name);
  mkdirSync(outdir, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: {
      cli: "language-server/src/cli.ts",
      // Beside it, as the server's bundle is.
      "job-process": "language-server/src/training/job-process.ts",
    },
    outdir,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    mainFields: ["module", "main"],
    external: ["tokenizers", "vscode"],
    logLevel: "warning",
  });
  return join(outdir, "cli.js");
}

export interface Finished {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A command in a terminal: its process while it runs, and what came of it. */
export class TerminalCommand {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = "";
  stderr = "";
  #wake: (() => void)[] = [];

  constructor(program: string, args: readonly string[], cwd: string, engine: string) {
    this.process = spawn(process.execPath, [program, ...args], {
      cwd,
      env: { ...process.env, ZIPTIE_ENGINE: engine },
    });
    const collect = (stream: "stdout" | "stderr") => (data: Buffer) => {
      this[stream] += data;
      for (const wake of this.#wake.splice(0)) wake();
    };
    this.process.stdout?.on("data", collect("stdout"));
    this.process.stderr?.on("data", collect("stderr"));
    this.finished = new Promise((fulfil) =>
      this.process.on("close", (status) => fulfil({ status, stdout: this.stdout, stderr: this.stderr })),
    );
  }

  /** Waits until the command has said this on stderr. */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stderr)) await new Promise<void>((fulfil) => this.#wake.push(fulfil));
  }
}
