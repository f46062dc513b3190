import { z } from "zod";
import { count, optional, path } from "./key";

const judge = z.strictObject({
  bench: path.meta({ description: "The questions: a `.jsonl` file in MT-bench's form." }),
  every_steps: count.optional().meta({ description: "Judge after every so many optimizer steps." }),
  sample: count.optional().meta({ description: "Judge at most so many questions each time." }),
  judge: z
    .enum(["reference", "openai", "local"])
    .default("reference")
    .meta({ description: "Who gives the scores." }),
});

/** Judging while training goes on. */
export const judgeKeys = {
  judge: optional(judge, {
    source: "Ziptie",
    says: "Have answers to a bench judged while training goes on.",
  }),
};
