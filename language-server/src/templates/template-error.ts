import type { Finding, Span } from "../text/span";

/** The rules a template's text itself can break; `rules/` knows their severities. */
export type TemplateRule = "template-syntax" | "template-unsupported" | "template-prefix-unstable";

/** The template's text cannot be used: it does not parse, or needs something that chat-template renderers lack. */
export class TemplateSyntaxError extends Error {
  override readonly name = "TemplateSyntaxError";
  constructor(
    readonly rule: "template-syntax" | "template-unsupported",
    message: string,
    /** The smallest wrong span of the template's source. */
    readonly span: Span,
  ) {
    super(message);
  }

  toFinding(): Finding {
    return { rule: this.rule, span: this.span, message: this.message };
  }
}

/** Why a rendering ended without a text. */
export type RenderFailure =
  /** The template called `raise_exception`: it refuses this conversation. */
  | "raised"
  /** Time, output or nesting limit. */
  | "limit"
  /** A Jinja feature that the renderer lacks, met while rendering. */
  | "unsupported"
  /** Anything else that a Jinja expression can do wrong, e.g. adding text to an undefined variable. */
  | "runtime";

/** One conversation could not be rendered; others may still be. */
export class TemplateRenderError extends Error {
  override readonly name = "TemplateRenderError";
  constructor(
    readonly failure: RenderFailure,
    message: string,
    /** The `{{ … }}` or `{% … %}` of the template's source that was being carried out, where known. */
    readonly span: Span | undefined,
  ) {
    super(message);
  }
}

export type TemplateError = TemplateSyntaxError | TemplateRenderError;

export function isTemplateError(error: unknown): error is TemplateError {
  return error instanceof TemplateSyntaxError || error instanceof TemplateRenderError;
}
