import type { Finding } from "../text/span";
import { adapterOptions } from "./options/adapter";
import { checkpointsOptions, conversationOptions, evaluationOptions, packingOptions } from "./options/data";
import { architectureOptions, embeddingInitOptions, modelOptions } from "./options/model";
import { OptionReport } from "./options/report";
import { durationOptions, scheduleOptions, warmupOptions } from "./options/schedule";
import { strayVocabularyOptions, vocabularyOptions } from "./options/vocabulary";
import type { PartialConfig } from "./schema";
import type { YamlMapping } from "./yaml-tree";

const checks = [
  modelOptions,
  embeddingInitOptions,
  architectureOptions,
  durationOptions,
  warmupOptions,
  scheduleOptions,
  adapterOptions,
  evaluationOptions,
  checkpointsOptions,
  packingOptions,
  conversationOptions,
  strayVocabularyOptions,
];

/** Keys that are right one by one and wrong together. */
export function optionFindings(text: string, root: YamlMapping, config: PartialConfig): Finding[] {
  const report = new OptionReport(text, root, config);
  const isVocabulary = config.stage === "vocabulary";
  for (const check of isVocabulary ? [vocabularyOptions] : checks) check(report);
  return report.findings;
}
