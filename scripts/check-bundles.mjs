// Loads what was bundled, each bundle the way it will be started, so that a module that got lost in bundling is found here and not by a user.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { dist, root } from "./paths.mjs";
import { Problem, run } from "./processes.mjs";

const patience = 60_000;

/** The extension runs only inside VS Code; a stand-in for its API is enough to load it and find its entry function. */
async function loadExtension() {
  const program = `
    const Module = require("node:module");
    const load = Module._load;
    const anything = () => new Proxy(class {}, { get: (_, key) => (key === "prototype" ? {} : anything()), apply: anything, construct: anything });
    const api = anything();
    Module._load = function (request, ...rest) { return request === "vscode" ? api : load.call(this, request, ...rest); };
    const extension = require(process.argv[1]);
    if (typeof extension.activate !== "function") throw new Error("dist/extension.js exports no activate()");
    process.exit(0);`;
  await run(process.execPath, ["-e", program, join(dist, "extension.js")]);
}

/** Asks the server to initialize over stdio, as any editor would. */
function initializeServer() {
  return new Promise((resolve, reject) => {
    const server = spawn(process.execPath, [join(dist, "server.js"), "--stdio"], { cwd: root });
    let output = "";
    let errors = "";
    const fail = (why) => {
      server.kill("SIGKILL");
      reject(new Problem(`dist/server.js ${why}\n${errors}${output}`));
    };
    const timer = setTimeout(() => fail(`did not answer "initialize" in ${patience / 1000} s`), patience);
    server.stderr.setEncoding("utf8").on("data", (text) => {
      errors += text;
    });
    server.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (!output.includes('"capabilities"')) return;
      clearTimeout(timer);
      server.removeAllListeners("close");
      server.kill("SIGKILL");
      resolve();
    });
    server.on("close", (code) => {
      clearTimeout(timer);
      fail(`ended with status ${code} instead of answering "initialize"`);
    });
    const request = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { processId: null, rootUri: null, capabilities: {} },
    });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(request)}\r\n\r\n${request}`);
  });
}

function loadWorker() {
  return new Promise((resolve, reject) => {
    const program = `
      const { parentPort, workerData } = require("node:worker_threads");
      require(workerData);
      parentPort.postMessage("loaded");`;
    const worker = new Worker(program, { eval: true, workerData: join(dist, "worker.js") });
    worker.on("error", (error) => reject(new Problem(`dist/worker.js does not load: ${error.message}`)));
    worker.on("message", (message) => {
      if (message === "loaded") worker.terminate().then(() => resolve());
    });
  });
}

/** @throws {Problem} naming the bundle that does not load */
export async function checkBundles() {
  await run(join(dist, "cli.js"), ["--version"]);
  await loadExtension();
  await initializeServer();
  await loadWorker();
}
