import type { Finding } from "../text/span";
import { BAILONG_TEMPLATE } from "./bailong";
import { mainLoopSpan, type ParsedTemplate, parseTemplate, templateFindings } from "./jinja-parser";
import { renderConversation } from "./render";
import { isTemplateError } from "./template-error";

/** A chat template that has been parsed and can be rendered many times. Immutable. */
export interface Template {
  /** A built-in's name, or what the caller calls it (a file's path). */
  readonly name: string;
  readonly source: string;
  readonly parsed: ParsedTemplate;
  /** Whether `{% generation %}` says which text carries loss. */
  readonly hasGenerationTags: boolean;
}

const BUILT_IN: Readonly<Record<string, string>> = { bailong: BAILONG_TEMPLATE };

/** Names that may stand where a template's file is expected. */
export const builtInTemplateNames: readonly string[] = Object.keys(BUILT_IN);

export function isBuiltInTemplate(name: string): boolean {
  return Object.hasOwn(BUILT_IN, name);
}

export function loadBuiltInTemplate(name: string): Template {
  const source = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
  if (source === undefined) {
    throw new Error(`There is no built-in template ${name}; there is ${builtInTemplateNames.join(", ")}.`);
  }
  return loadTemplate(source, name);
}

/**
 * @param source Jinja, as in a `.jinja` file or a `chat_template`
 * @param name what messages call it
 * @throws TemplateSyntaxError with the span in `source`
 */
export function loadTemplate(source: string, name: string): Template {
  const parsed = parseTemplate(source);
  return { name, source, parsed, hasGenerationTags: parsed.hasGenerationTags };
}

/**
 * What is wrong with a template, whatever the dataset: its syntax, what the renderer lacks, and whether the turns that
 * carry loss can be found. The last two need a rendering of two short exchanges, within the usual limits.
 */
export function checkTemplate(source: string): Finding[] {
  const findings = templateFindings(source);
  if (findings.length > 0) return findings;
  const template = loadTemplate(source, "template");
  try {
    const rendered = renderConversation(template, PROBE, PROBE_TOKENS);
    return rendered.finding ? [rendered.finding] : [];
  } catch (error) {
    if (!isTemplateError(error)) throw error;
    // A template may well refuse this conversation, or need tools; only what no conversation can avoid is said here.
    const failure = "failure" in error ? error.failure : undefined;
    if (failure !== "unsupported" && failure !== "limit") return [];
    const span = error.span ?? mainLoopSpan(template.parsed.lexed);
    return [{ rule: "template-unsupported", span, message: error.message }];
  }
}

const PROBE = {
  turns: (["user", "assistant", "user", "assistant"] as const).map((role, index) => ({
    role,
    content: `turn ${index}`,
  })),
};
const PROBE_TOKENS = {
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
  pad_token: "<pad>",
  now: new Date(2024, 0, 1),
};
