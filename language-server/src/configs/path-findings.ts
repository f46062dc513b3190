import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { templateFindings } from "../templates/jinja-parser";
import { builtInTemplateNames, isBuiltInTemplate } from "../templates/template";
import { LineIndex } from "../text/line-index";
import type { Finding, FindingFix } from "../text/span";
import type { ConfigFiles } from "./config-files";
import { datasetEntries } from "./dataset-entries";
import { type KeyPath, nodeAt, spanOf } from "./key-path";
import { nearest } from "./nearest";
import type { ConfigReading } from "./read-config";
import { shortened } from "./shortened";
import { chatTemplateOf, isConfigPath, newestTokenizerOf, tokenizerPathOf } from "./sources";

/** What the config names and the disk does not have. */
export function pathFindings(reading: ConfigReading, files: ConfigFiles): Finding[] {
  const { partial: config, root, path } = reading;
  if (!config || !root) return [];
  const folder = dirname(path);
  const findings: Finding[] = [];
  const report = (keyPath: KeyPath, message: string, fixes: FindingFix[] = []) =>
    findings.push({ rule: "path-not-found", span: spanOf(root, keyPath, "value"), message, fixes });
  const similar = (keyPath: KeyPath, written: string): FindingFix[] => {
    const node = nodeAt(root, keyPath);
    const wanted = resolve(folder, written);
    const name = nearest(basename(wanted), files.names(dirname(wanted)));
    if (!node || !name) return [];
    const newText = written.slice(0, written.length - basename(written).length) + name;
    return [{ title: `Replace with \`${newText}\``, edits: [{ span: node.span, newText }] }];
  };
  const notFound = (keyPath: KeyPath, what: string, written: string) => {
    const fixes = similar(keyPath, written);
    const hint = fixes.length > 0 ? ` Did you mean ${fixes[0]?.title.replace("Replace with ", "")}?` : "";
    report(
      keyPath,
      `${what} \`${shortened(written)}\` is not there (looked for ${shownPath(resolve(folder, written))}).${hint}`,
      fixes,
    );
  };

  const model = config.model_name_or_path;
  if (model !== undefined) {
    const at = resolve(folder, model);
    const kind = files.kind(at);
    if (isConfigPath(model)) {
      if (at === path)
        report(["model_name_or_path"], "A config cannot start from the model that it makes itself.");
      else if (kind !== "file") notFound(["model_name_or_path"], "The config", model);
    } else if (kind === "directory") {
      if (files.kind(join(at, "config.json")) !== "file") {
        report(
          ["model_name_or_path"],
          `\`${shortened(model)}\` is no HF model directory: it has no \`config.json\`.`,
        );
      }
    } else if (kind === "file") {
      report(
        ["model_name_or_path"],
        `\`${shortened(model)}\` is a file; a model is an HF directory with a \`config.json\`.`,
      );
    } else if (/^[\w.-]+\/[\w.-]+$/.test(model) && files.kind(dirname(at)) === null) {
      report(
        ["model_name_or_path"],
        `\`${shortened(model)}\` looks like a name on the Hugging Face Hub; Ziptie reads models from disk. Download it and give its directory.`,
      );
    } else notFound(["model_name_or_path"], "The model", model);
  }

  const tokenizer = config.tokenizer_name_or_path;
  if (tokenizer !== undefined) {
    const at = resolve(folder, tokenizer);
    const kind = files.kind(at);
    if (isConfigPath(tokenizer)) {
      const written = newestTokenizerOf(at, files);
      const node = nodeAt(root, ["tokenizer_name_or_path"]);
      const newText = written === null ? "" : relative(folder, written);
      report(
        ["tokenizer_name_or_path"],
        `\`${shortened(tokenizer)}\` is a config; a tokenizer is named by its directory. ${
          written === null
            ? "A config of `stage: vocabulary` writes one: `runs/<config>-<n>/tokenizer`."
            : `The newest that this config has made is \`${shortened(newText)}\`.`
        }`,
        node && written !== null
          ? [{ title: `Replace with \`${newText}\``, edits: [{ span: node.span, newText }] }]
          : [],
      );
    } else if (kind === null) notFound(["tokenizer_name_or_path"], "The tokenizer", tokenizer);
    else if (kind === "directory" && files.kind(resolve(folder, tokenizer, "tokenizer.json")) !== "file") {
      report(["tokenizer_name_or_path"], `\`${shortened(tokenizer)}\` has no \`tokenizer.json\`.`);
    }
  } else if (model !== undefined && !isConfigPath(model)) {
    const inModel = resolve(folder, model);
    if (
      files.kind(join(inModel, "config.json")) === "file" &&
      files.kind(join(inModel, "tokenizer.json")) !== "file"
    ) {
      report(
        ["model_name_or_path"],
        `\`${shortened(model)}\` has no \`tokenizer.json\`; say where the tokenizer is with \`tokenizer_name_or_path\`.`,
      );
    }
  }

  const template = config.chat_template_path;
  if (template !== undefined && !isBuiltInTemplate(template)) {
    const kind = files.kind(resolve(folder, template));
    if (kind !== "file") {
      const isName = !/[./\\]/.test(template) && !isAbsolute(template);
      const meant = isName ? nearest(template, builtInTemplateNames) : null;
      if (isName) {
        const node = nodeAt(root, ["chat_template_path"]);
        report(
          ["chat_template_path"],
          `There is no built-in template \`${shortened(template)}\` and no such file; built in: ${builtInTemplateNames.map((name) => `\`${name}\``).join(", ")}.`,
          meant && node
            ? [{ title: `Replace with \`${meant}\``, edits: [{ span: node.span, newText: meant }] }]
            : [],
        );
      } else notFound(["chat_template_path"], "The template", template);
    } else {
      const at = resolve(folder, template);
      const source = files.readText(at);
      const [problem] = source === null ? [] : templateFindings(source);
      if (source !== null && problem) {
        const { line, character } = new LineIndex(source).positionAt(problem.span.start);
        findings.push({
          rule: problem.rule,
          span: spanOf(root, ["chat_template_path"], "value"),
          message: `${shortened(template)}:${line + 1}:${character + 1}: ${problem.message}`,
        });
      }
    }
  } else if (template === undefined && config.stage === "sft") {
    const from = tokenizerPathOf(reading, files);
    if (from !== null && files.kind(from) !== null && chatTemplateOf(from, files) === null) {
      findings.push({
        rule: "missing-key",
        span: spanOf(root, ["stage"], "key"),
        message: `\`stage: sft\` needs \`chat_template_path\`: the tokenizer ${shownPath(from)} carries no chat template. Built in: ${builtInTemplateNames.map((name) => `\`${name}\``).join(", ")}.`,
      });
    }
  }

  for (const key of ["dataset", "eval_dataset", "check_dataset"] as const) {
    for (const { entry, pathKey } of datasetEntries(config, key)) {
      const kind = files.kind(resolve(folder, entry.path));
      if (kind === null) notFound(pathKey, "The dataset", entry.path);
      else if (kind === "directory" && config.stage !== "vocabulary") {
        report(
          pathKey,
          `\`${shortened(entry.path)}\` is a folder; a dataset is a \`.jsonl\` or \`.json\` file.`,
        );
      }
    }
  }
  return findings;
}

/** A path's end says most. */
function shownPath(path: string): string {
  return path.length > 200 ? `…${path.slice(-200)}` : path;
}
