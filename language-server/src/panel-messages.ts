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
