import type { Command } from "commander";
import { jobCommand, serveJob } from "../training/job-process";

/** The language server's helper process; see `training/job-process.ts`. */
export function registerTrainingJob(program: Command): void {
  program.command(jobCommand, { hidden: true }).action(() => serveJob());
}
