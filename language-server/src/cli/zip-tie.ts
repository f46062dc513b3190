import { type Command, Option } from "commander";
import { previewZipTie, type ZipTiePreview } from "../training/vocabulary/zip-tie-preview";
import { answer, type FormatOption, formatOption, printJson } from "./run-output";

interface ZipTieOptions extends FormatOption {
  tokenizer: string;
  model?: string;
  neighbours: number;
}

export function registerZipTie(program: Command): void {
  program
    .command("zip-tie")
    .description(
      "Show what tokens that were added to a vocabulary begin as: the base tokens that each replaces, and with a model the tokens most like their sum.",
    )
    .argument("<token...>", "added tokens, e.g. 物理, or their ids")
    .requiredOption("--tokenizer <path>", "an extended tokenizer, zip-tie.json beside it")
    .option("--model <directory>", "the base model")
    .addOption(
      new Option("--neighbours <n>", "how many tokens like each to show")
        .default(5)
        .argParser((value) => Math.max(1, Math.floor(Number(value)) || 1)),
    )
    .addOption(formatOption())
    .action((tokens: string[], { format, tokenizer, model, neighbours }: ZipTieOptions) =>
      answer(format, async () => {
        const results = await previewZipTie(tokens, { tokenizer, model, neighbours });
        if (format === "json") printJson({ results });
        else process.stdout.write(results.map(inText).join("\n"));
      }),
    );
}

function inText({ id, token, base, neighbours }: ZipTiePreview): string {
  const parts = base.map((part) => `${part.token} ${part.weight.toFixed(3)}`);
  const like = neighbours.map((neighbour) => `${neighbour.token} ${neighbour.cosine.toFixed(3)}`);
  return [
    `${token}  ${id}`,
    `  begins as  ${parts.join("  ")}`,
    ...(like.length > 0 ? [`  is like    ${like.join("  ")}`] : []),
    "",
  ].join("\n");
}
