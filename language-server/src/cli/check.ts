import type { Command } from "commander";
import { Option } from "commander";

export function registerCheck(program: Command): void {
  program
    .command("check")
    .description("Print every diagnostic the editor would show for these files and folders.")
    .argument("<path...>", "training configs, datasets, templates, or folders of them")
    .addOption(
      new Option("--format <format>", "how to print them").choices(["text", "json"]).default("text"),
    );
}
