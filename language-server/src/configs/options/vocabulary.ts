import { datasetEntries } from "../dataset-entries";
import { vocabularyKeys } from "../keys/vocabulary";
import type { OptionReport } from "./report";

/** `stage: vocabulary` has needs of its own, and none of a training run's. */
export function vocabularyOptions(report: OptionReport): void {
  if (!report.has("tokenizer_name_or_path") && !report.has("model_name_or_path")) {
    report.missing(
      "stage",
      "`stage: vocabulary` needs `tokenizer_name_or_path`, the tokenizer that is to be extended, or the `model_name_or_path` that has it.",
    );
  }
  if (!report.has("scripts")) {
    report.missing(
      "stage",
      "`stage: vocabulary` needs `scripts`, the writing of the new language, e.g. `scripts: [Han]`.",
    );
  }
  for (const { path, entry } of datasetEntries(report.config, "dataset")) {
    if (entry.weight === 1) continue;
    report.unfitting(
      [...path, "weight"],
      "A vocabulary is trained on each text once: `weight` is ignored. Remove it; `sample` takes fewer rows of a file.",
    );
  }
}

/** Keys of `stage: vocabulary` in a config of another stage. */
export function strayVocabularyOptions(report: OptionReport): void {
  const { stage } = report.config;
  if (stage === undefined) return;
  for (const key of Object.keys(vocabularyKeys)) {
    if (!report.has(key)) continue;
    report.incompatible(key, `\`stage: ${stage}\` leaves the tokenizer as it is and ignores \`${key}\`.`);
  }
}
