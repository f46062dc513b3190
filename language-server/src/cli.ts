import { CommanderError } from "commander";
import { createProgram } from "./cli/program";

/** `ziptie`: the same brain as the editor's, in a terminal. Exit status: 0 fine, 1 the command's own negative answer, 2 wrong usage. */
async function main(): Promise<void> {
  const program = createProgram();
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.stderr.write(`ziptie: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}

// A reader that has seen enough, as in `ziptie check … | head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
void main();
