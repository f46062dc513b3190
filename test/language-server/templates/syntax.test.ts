import { describe, expect, it } from "vitest";
import { templateFindings } from "../../../language-server/src/templates/jinja-parser";
import { checkTemplate, loadTemplate } from "../../../language-server/src/templates/template";
import { TemplateSyntaxError } from "../../../language-server/src/templates/template-error";

/** The part of the source each finding stands on, with its rule. */
function findings(source: string): [string, string][] {
  return templateFindings(source).map(({ rule, span }) => [rule, source.slice(span.start, span.end)]);
}

describe("a template that does not parse is reported where it is wrong", () => {
  const cases: [name: string, source: string, span: string, message: RegExp][] = [
    ["an if that is never closed", "a\n{% if x %}b", "{% if x %}", /`if` is never closed: `\{% endif %}`/],
    ["a for that is never closed", "{% for m in messages %}\r\n{{ m }}", "{% for m in messages %}", /endfor/],
    ["generation that is never closed", "{% generation %}x", "{% generation %}", /endgeneration/],
    ["a set block that is never closed", "{% set x %}y", "{% set x %}", /endset/],
    ["a closing tag too many", "x{% endif %}", "endif", /closes nothing/],
    ["tags that cross", "{% for a in b %}{% if a %}{% endfor %}{% endif %}", "endfor", /`endif` is expected/],
    ["else outside if", "{% else %}", "else", /belongs in an `if` or `for`/],
    ["an unknown tag", "{% fro m in messages %}{% endfor %}", "fro", /not a tag/],
    ["a tag without a name", "{% %}", "%}", /tag's name/],
    ["an expression that is never closed", "abc {{ x ", "{{", /never closed/],
    ["a tag that is never closed", "{% if x", "{%", /never closed/],
    ["a comment that is never closed", "x {# y", "{#", /comment/],
    ["raw that is never closed", "{% raw %}{{ x }}", "{% raw %}", /endraw/],
    ["a string that is never closed", "{{ 'abc }}", "'", /string/],
    ["a bracket that is never closed", "{{ (a + b }}", "}", /`\)` is expected/],
    ["a bracket at the end", "{{ foo(a, ", "(", /never closed/],
    ["a bracket that closes nothing", "{{ a) }}", ")", /closes nothing/],
    ["a missing operand", "{{ a + }}", "}}", /Expected an expression, found `}}`/],
    ["an empty expression", "{{ }}", "}}", /Expected an expression/],
    ["two names in a row", "{{ a b }}", "b", /Expected `}}`, found `b`/],
    ["a condition cut short", "{% if a == %}x{% endif %}", "%}", /Expected an expression/],
    ["for without in", "{% for m of messages %}{% endfor %}", "of", /./],
    ["a character outside the language", "{{ a ? b }}", "?", /no meaning/],
    ["after CRLF lines", "{% if a %}\r\nx\r\n{% endif %}\r\n{{ b | }}", "}}", /./],
    ["arguments of generation", "{% generation x %}{% endgeneration %}", "x", /no arguments/],
    ["break outside a loop", "{% break %}", "break", /outside every `for`/],
  ];
  it.each(cases)("%s", (_, source, span, message) => {
    expect(findings(source)).toEqual([["template-syntax", span]]);
    expect(templateFindings(source)[0]?.message).toMatch(message);
    expect(() => loadTemplate(source, "t")).toThrow(TemplateSyntaxError);
  });

  it("at the right one of two equal places", () => {
    const source = "{{ b }}{{ a b }}";
    expect(templateFindings(source)[0]?.span).toEqual({ start: 12, end: 13 });
  });
});

describe("what the renderer lacks is reported where it is used", () => {
  const cases: [name: string, source: string, span: string, message: RegExp][] = [
    ["a filter that nobody has", "{{ x | trimm }}", "trimm", /Did you mean `trim`/],
    ["a filter of Jinja's", "{{ x | groupby('a') }}", "groupby", /Jinja's/],
    ["a filter in a filter tag", "{% filter wordwrap %}x{% endfilter %}", "wordwrap", /Jinja's/],
    ["a test that nobody has", "{{ x is not defnied }}", "defnied", /Did you mean `defined`/],
    ["a test of Jinja's", "{% if x is divisibleby %}{% endif %}", "divisibleby", /Jinja's/],
    ["a tag of Jinja's", "{% include 'x' %}", "include", /Jinja's/],
    ["a function", "{{ lipsum(3) }}", "lipsum", /not supported/],
  ];
  it.each(cases)("%s", (_, source, span, message) => {
    expect(findings(source)).toEqual([["template-unsupported", span]]);
    expect(templateFindings(source)[0]?.message).toMatch(message);
  });

  it("every one of several", () => {
    expect(findings("{{ a | nope }} {{ b | random }}")).toEqual([
      ["template-unsupported", "nope"],
      ["template-unsupported", "random"],
    ]);
  });

  it("but names that look like them are not", () => {
    expect(
      findings("{% set is = 1 %}{{ x['groupby'] }} {{ m.random }} {{ 'x | nope' }} {# {{ a | nope }} #}"),
    ).toEqual([]);
  });

  it("when only rendering shows it", () => {
    const source = "{% for m in messages %}{{ m.content | list }}{% endfor %}";
    expect(checkTemplate(source)).toMatchObject([
      { rule: "template-unsupported", span: { start: 23, end: 45 } },
    ]);
  });
});

describe("a template that parses", () => {
  it("nested beyond the parser's stack is refused, not a crash", () => {
    expect(findings(`{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`)[0]?.[0]).toBe(
      "template-unsupported",
    );
    expect(checkTemplate("{% if true %}".repeat(50_000) + "{% endif %}".repeat(50_000))[0]?.rule).toBe(
      "template-unsupported",
    );
  });

  it("whose rendering changes with later turns is reported at its loop", () => {
    const source =
      "{% for m in messages %}{% if loop.last %}LAST{% endif %}{{ m.role }}:{{ m.content }}\n{% endfor %}";
    expect(checkTemplate(source)).toMatchObject([
      { rule: "template-prefix-unstable", span: { start: 0, end: 23 } },
    ]);
  });

  it("that refuses a conversation has nothing wrong with it", () => {
    expect(checkTemplate("{{ raise_exception('only tools') }}")).toEqual([]);
  });
});
