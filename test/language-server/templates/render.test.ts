import { describe, expect, it } from "vitest";
import {
  type RenderableConversation,
  type RenderOptions,
  renderConversation,
  renderPrompt,
} from "../../../language-server/src/templates/render";
import { loadBuiltInTemplate, loadTemplate } from "../../../language-server/src/templates/template";
import { TemplateRenderError } from "../../../language-server/src/templates/template-error";

const tokens: RenderOptions = { bos_token: "<s>", eos_token: "</s>" };

function talk(...contents: string[]): RenderableConversation {
  return {
    turns: contents.map((content, index) => ({
      role: index % 2 ? ("assistant" as const) : ("user" as const),
      content,
    })),
  };
}

function lossTexts(source: string, conversation: RenderableConversation): string[] {
  const { text, lossSpans } = renderConversation(loadTemplate(source, "t"), conversation, tokens);
  return lossSpans.map(({ start, end }) => text.slice(start, end));
}

function failure(
  source: string,
  conversation = talk("hi"),
  options: RenderOptions = tokens,
): TemplateRenderError {
  try {
    renderConversation(loadTemplate(source, "t"), conversation, options);
  } catch (error) {
    if (error instanceof TemplateRenderError) return error;
    throw error;
  }
  throw new Error("it rendered");
}

describe("the bailong template", () => {
  const bailong = loadBuiltInTemplate("bailong");

  it("is equation 8, with loss on outputs and the EOS that ends them", () => {
    const { text, lossSpans } = renderConversation(bailong, talk("i₁", "o₁", "i₂", "o₂"), tokens);
    expect(text).toBe("<s> i₁ </s> o₁ </s> i₂ </s> o₂ </s>");
    expect(lossSpans.map(({ start, end }) => text.slice(start, end))).toEqual([" o₁ </s>", " o₂ </s>"]);
  });

  it("asks with what stands before an output", () => {
    const answered = renderConversation(bailong, talk("i₁", "o₁", "i₂", "o₂"), tokens);
    const prompt = renderPrompt(bailong, talk("i₁", "o₁", "i₂"), tokens);
    expect(prompt).toBe("<s> i₁ </s> o₁ </s> i₂ </s>");
    expect(answered.lossSpans[1]?.start).toBe(prompt.length);
  });

  it("refuses a system turn, saying what to do", () => {
    const conversation = { turns: [{ role: "system" as const, content: "s" }, ...talk("u", "a").turns] };
    expect(() => renderConversation(bailong, conversation, tokens)).toThrow(
      "The bailong template has no system turn. Move its text into the first user turn, or choose another template.",
    );
  });

  it("refuses two turns of one side, and a tool's", () => {
    const turns = (["user", "user"] as const).map((role) => ({ role, content: "x" }));
    expect(() => renderConversation(bailong, { turns }, tokens)).toThrow(/turn 2 is of user/);
    const tool = {
      turns: [
        { role: "user" as const, content: "x" },
        { role: "tool" as const, content: "y" },
      ],
    };
    expect(() => renderConversation(bailong, tool, tokens)).toThrow(/turn 2 is of tool/);
  });

  it("renders contents as they are", () => {
    const { text } = renderConversation(bailong, talk(" {{ x }} ", "\n</s>\ufdd8"), tokens);
    expect(text).toBe("<s>  {{ x }}  </s> \n</s>\ufdd8 </s>");
  });
});

describe("loss spans", () => {
  it("without generation tags are what an assistant turn adds to the prompt", () => {
    const source =
      "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}<end>\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    expect(lossTexts(source, talk("a", " b ", "c", "d"))).toEqual(["b<end>\n", "d<end>\n"]);
  });

  it("include the turn's header where the template has no generation prompt", () => {
    expect(
      lossTexts("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}", talk("a", "b")),
    ).toEqual(["[assistant]b"]);
  });

  it("are empty when later turns change what earlier ones render to, and it is said", () => {
    const source = "{{ messages | length }}{% for m in messages %}{{ m.content }};{% endfor %}";
    const rendered = renderConversation(loadTemplate(source, "t"), talk("a", "b", "c", "d"), tokens);
    expect(rendered.lossSpans).toEqual([]);
    expect(rendered.finding).toMatchObject({ rule: "template-prefix-unstable" });
    expect(rendered.finding?.message).toMatch(/No loss spans found/);
  });

  it("of nested generation tags are one", () => {
    const source = "{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}d";
    expect(lossTexts(source, talk("x"))).toEqual(["abc"]);
  });

  it("of text in generation tags that look like tags are taken from tags only", () => {
    const source = "{{ '{% generation %}' }}{# {% generation %} #}{% generation %}x{% endgeneration %}";
    expect(lossTexts(source, talk("x"))).toEqual(["x"]);
  });
});

describe("content spans", () => {
  const located = (source: string, conversation: RenderableConversation) => {
    const { text, contentSpans } = renderConversation(loadTemplate(source, "t"), conversation, tokens);
    for (const { turn, span, contentStart } of contentSpans) {
      const { content } = conversation.turns[turn] as { content: string };
      expect(text.slice(span.start, span.end)).toBe(
        content.slice(contentStart, contentStart + span.end - span.start),
      );
    }
    return contentSpans.map(({ turn, span, contentStart }) => [
      turn,
      text.slice(span.start, span.end),
      contentStart,
    ]);
  };

  it("say where each content stands, even when contents repeat", () => {
    const source = "{% for m in messages %}{{ m.role }} {{ m.content }}{{ eos_token }}{% endfor %}";
    expect(located(source, talk("user", "user", "😀 user"))).toEqual([
      [0, "user", 0],
      [1, "user", 0],
      [2, "😀 user", 0],
    ]);
  });

  it("know what a template has trimmed, and what it has kept", () => {
    const conversation = talk("  a b\n", "  c ");
    const source = "{% for m in messages %}<{{ m.content | trim if loop.first else m.content }}>{% endfor %}";
    expect(located(source, conversation)).toEqual([
      [0, "a b", 2],
      [1, "  c ", 0],
    ]);
  });

  it("leave out what a template has changed or not printed", () => {
    const source =
      "{{ messages[0].content | upper }} {{ messages[1].content | tojson }} {{ messages[2].content }}";
    expect(located(source, talk("shout", 'q"uote', "plain", "unseen"))).toEqual([[2, "plain", 0]]);
  });

  it("survive templates that look into contents", () => {
    const source =
      "{% for m in messages %}{{ '!' if m.content.startswith('a') else '?' }}{{ m.content.split('</think>')[-1] }}{% endfor %}";
    expect(located(source, talk("abc", "x</think>y"))).toEqual([[0, "abc", 0]]);
  });
});

describe("a stranger's template", () => {
  it.each([
    ["counts for ever", "{% for i in range(10**9) %}{% endfor %}", /range/],
    [
      "loops in loops",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      /stopped after/,
    ],
    [
      "doubles a text",
      "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      /stopped at/,
    ],
    [
      "doubles a list",
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      /items/,
    ],
    [
      "prints for ever",
      "{% for a in range(99999) %}{% for b in range(9999) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
      /stopped/,
    ],
    ["calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /nests too deeply/],
    ["indents for ever", "{{ 'a\nb' | indent(10**9) }}", /indentation/],
    ["indents JSON for ever", "{{ [1] | tojson(indent=10**9) }}", /indentation/],
  ])("that %s is stopped", (_, source, message) => {
    const begin = performance.now();
    const error = failure(source, talk("hi"), {
      ...tokens,
      limits: { timeLimit: 300, outputLimit: 1_000_000 },
    });
    expect(error.failure).toBe("limit");
    expect(error.message).toMatch(message);
    expect(performance.now() - begin).toBeLessThan(5000);
  });

  it.each([
    "{{ messages.constructor }}",
    "{{ messages[0].constructor }}",
    "{{ messages[0]['__proto__'] }}",
    "{{ messages[0].content.constructor }}",
    "{{ messages[0].content.__proto__ }}",
    "{{ raise_exception.constructor }}",
    "{{ raise_exception.call }}",
    "{{ range.prototype }}",
    "{{ process }}{{ globalThis }}{{ this }}{{ require }}",
    "{{ namespace(x=1).constructor }}",
    "{{ ({}).constructor }}",
    "{{ strftime_now.constructor }}",
  ])("finds nothing of JavaScript through %s", (source) => {
    expect(renderConversation(loadTemplate(source, "t"), talk("hi"), tokens).text).toBe("");
  });

  it("cannot call what it did not find", () => {
    expect(failure("{{ ''.constructor.constructor('return process')() }}").failure).toBe("runtime");
    expect(failure("{{ messages.constructor('x') }}").failure).toBe("runtime");
  });
});

describe("a rendering that fails says where", () => {
  const at = (source: string, conversation = talk("hi")) => {
    const { failure: why, message, span } = failure(source, conversation);
    return [why, message, source.slice(span?.start, span?.end)];
  };

  it("names the message that the template raises", () => {
    const source = "a{% if true %}\n  {{ raise_exception('After ' ~ messages[0].role) }}{% endif %}";
    expect(at(source)).toEqual([
      "raised",
      "After user",
      "{{ raise_exception('After ' ~ messages[0].role) }}",
    ]);
  });

  it("names the innermost tag, in Python's words", () => {
    const source = "{% for m in messages %}{% set x = m.content | nope_not %}{% endfor %}".replace(
      "nope_not",
      "abs",
    );
    expect(at(source)).toEqual([
      "unsupported",
      "The filter `abs` is not supported on text.",
      "{% set x = m.content | abs %}",
    ]);
  });

  it("after a loop has been left by break", () => {
    const source = "{% for a in [1] %}{% break %}{% endfor %}{{ nothing + 1 }}";
    expect(at(source)[2]).toBe("{{ nothing + 1 }}");
  });
});

describe("strftime_now", () => {
  it("says the given time in English", () => {
    const source = "{{ strftime_now('%d %b %Y, %A %B %-d %H:%M %j %p %%') }}";
    const now = new Date(2024, 1, 3, 4, 5);
    expect(renderConversation(loadTemplate(source, "t"), talk("hi"), { ...tokens, now }).text).toBe(
      "03 Feb 2024, Saturday February 3 04:05 034 AM %",
    );
  });
});
