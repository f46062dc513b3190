import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { registerCheck } from "./check";
import { registerEfficiency } from "./efficiency";
import { registerExport } from "./export";
import { registerExtendVocabulary } from "./extend-vocabulary";
import { registerGenerate } from "./generate";
import { registerPlan } from "./plan";
import { registerResume } from "./resume";
import { registerRuns } from "./runs";
import { registerStop } from "./stop";
import { registerTokenize } from "./tokenize";
import { registerTrain } from "./train";
import { registerTrainingJob } from "./training-job";
import { registerZipTie } from "./zip-tie";

/** The version in the `package.json` that this program came with: beside `dist/`, or two folders above the sources. */
function packageVersion(): string {
  for (let folder = __dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      if (manifest.name === "ziptie") return String(manifest.version);
    } catch {
      // not in this folder
    }
  }
  return "unknown";
}

/** Every command of `ziptie`. A command reports its own negative answer through `process.exitCode = 1`. */
export function createProgram(): Command {
  const program = new Command("ziptie")
    .description("Check datasets, templates and training configs; see tokens; train; generate.")
    .version(packageVersion())
    .showHelpAfterError("(--help shows the usage)");
  for (const register of [
    registerCheck,
    registerTokenize,
    registerEfficiency,
    registerExtendVocabulary,
    registerPlan,
    registerTrain,
    registerResume,
    registerStop,
    registerGenerate,
    registerExport,
    registerRuns,
    registerZipTie,
    registerTrainingJob,
  ]) {
    register(program);
  }
  return program;
}
