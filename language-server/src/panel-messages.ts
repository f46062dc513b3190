/** Schemas of what webviews say to the extension. Apart from `protocol.ts`, so that zod is loaded only once a panel speaks. */
import { z } from "zod";

/** training panel → extension */
export const trainingPanelOutputSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready") }),
  z.object({ type: z.literal("start") }),
  z.object({ type: z.literal("overlay"), runs: z.array(z.string()) }),
  z.object({ type: z.literal("stop"), run: z.string() }),
  z.object({ type: z.literal("resume"), run: z.string() }),
  z.object({ type: z.literal("openLog"), run: z.string() }),
  z.object({ type: z.literal("openConfig"), run: z.string() }),
  z.object({ type: z.literal("copy"), text: z.string() }),
  z.object({ type: z.literal("save"), name: z.string(), format: z.enum(["csv", "png"]), base64: z.string() }),
]);
export type TrainingPanelOutput = z.infer<typeof trainingPanelOutputSchema>;

/** comparison panel → extension */
export const comparisonPanelOutputSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready") }),
  z.object({ type: z.literal("chooseTokenizers") }),
  z.object({ type: z.literal("specialTokens"), on: z.boolean() }),
  z.object({ type: z.literal("moreColumns"), first: z.int().nonnegative() }),
  z.object({ type: z.literal("retryText") }),
  z.object({ type: z.literal("chooseCorpus"), kind: z.enum(["file", "folder"]) }),
  z.object({ type: z.literal("repeatCorpus") }),
  z.object({ type: z.literal("cancelCorpus") }),
  z.object({ type: z.literal("copy"), text: z.string() }),
  z.object({ type: z.literal("saveCsv"), table: z.enum(["figures", "characters"]) }),
]);
export type ComparisonPanelOutput = z.infer<typeof comparisonPanelOutputSchema>;
