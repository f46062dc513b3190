/** The rendered text and the generation spans are those of `transformers`' own renderer. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BAILONG_TEMPLATE } from "../../../language-server/src/templates/bailong";
import {
  type RenderableConversation,
  renderConversation,
  renderPrompt,
} from "../../../language-server/src/templates/render";
import { loadTemplate } from "../../../language-server/src/templates/template";
import { isTemplateError } from "../../../language-server/src/templates/template-error";

const root = join(import.meta.dirname, "../../..");
const python = join(root, "dist/oracle-venv/bin/python");
const templates = join(root, "../shared/data/chat-templates");
const variables = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" };

type Message = { role: "system" | "user" | "assistant" | "tool"; content: string; tool_calls?: unknown };
interface Case {
  template: string;
  conversations: Message[][];
  variables: typeof variables;
  generation: boolean;
  prompt: boolean;
  tools?: unknown;
}
type Answer = { text: string; spans: [number, number][]; error?: undefined } | { error: string };

const conversations: Message[][] = [
  [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello!" },
  ],
  [
    { role: "system", content: "  Be brief.\n" },
    { role: "user", content: "通過創建新理論？" },
    { role: "assistant", content: " 物理學\n\n對於人類文明 " },
    { role: "user", content: "emoji 👩‍👩‍👧 and é" },
    { role: "assistant", content: "سلام\tעולם" },
  ],
  [
    { role: "user", content: "a\r\nb {{ c }} {% d %}" },
    { role: "assistant", content: "'quoted' \"twice\" \\ back" },
    { role: "user", content: "last" },
  ],
  [{ role: "user", content: "\u0085 odd spaces \ufeff\u3000" }],
  [
    { role: "assistant", content: "starts with an answer" },
    { role: "user", content: "then a question" },
  ],
  [
    { role: "user", content: "one" },
    { role: "user", content: "two in a row" },
    { role: "assistant", content: "" },
  ],
  [
    { role: "user", content: "weather?" },
    {
      role: "assistant",
      content: "",
      tool_calls: [
        {
          type: "function",
          function: { name: "get", arguments: { city: "台北", days: 2, "a<b": [true, null, 1.5] } },
        },
      ],
    },
    { role: "tool", content: '{"t": 30}' },
    { role: "assistant", content: "30 degrees" },
  ],
];

function toConversation(messages: Message[], tools?: unknown): RenderableConversation {
  return {
    turns: messages.map(({ tool_calls, ...turn }) => ({ ...turn, toolCalls: tool_calls })),
    tools,
  };
}

function ask(cases: Case[]): Answer[] {
  const script = join(import.meta.dirname, "apply_chat_template.py");
  const result = spawnSync(python, [script], {
    input: JSON.stringify(cases),
    encoding: "utf8",
    env: { ...process.env, TRANSFORMERS_VERBOSITY: "error", HF_HUB_OFFLINE: "1" },
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as Answer[];
}

/** Code points to UTF-16. */
const utf16 = (text: string, codePoint: number) => Array.from(text).slice(0, codePoint).join("").length;

function expectSame(test: Case, answers: Answer[]) {
  const template = loadTemplate(test.template, "tested");
  for (const [index, messages] of test.conversations.entries()) {
    const answer = answers[index] as Answer;
    const conversation = toConversation(messages, test.tools);
    let ours: { text: string; spans: { start: number; end: number }[] } | { error: string };
    try {
      if (test.prompt) ours = { text: renderPrompt(template, conversation, variables), spans: [] };
      else {
        const rendered = renderConversation(template, conversation, variables);
        ours = { text: rendered.text, spans: [...rendered.lossSpans] };
      }
    } catch (error) {
      if (!isTemplateError(error)) throw error;
      ours = { error: error.message };
    }
    const label = `conversation ${index}`;
    if (answer.error !== undefined || "error" in ours) {
      expect("error" in ours ? "refused" : ours.text, label).toBe(
        answer.error === undefined ? answer.text : "refused",
      );
      continue;
    }
    expect(ours.text, label).toBe(answer.text);
    if (test.generation && !test.prompt) {
      const spans = answer.spans
        .map(([start, end]) => ({ start: utf16(answer.text, start), end: utf16(answer.text, end) }))
        .filter(({ start, end }) => end > start);
      expect(ours.spans, label).toEqual(spans);
    }
  }
}

const GENERATION_TEMPLATES: Record<string, string> = {
  bailong: BAILONG_TEMPLATE,
  "tags without whitespace control": `{{ bos_token }}
{% for message in messages %}
    {% if message.role == 'assistant' %}
        {% generation %}
        {{ message.content }}{{ eos_token }}
        {% endgeneration %}
    {% else %}
  [{{ message.role }}] {{ message.content | trim }}
    {% endif %}
{% endfor %}
`,
  "tags with whitespace control": `{% for message in messages %}
 <{{ message['role'] }}>
    {%- if message['role'] == 'assistant' %}
   {%- generation -%}
      {{ ' ' + message['content'] + eos_token + '\\n' }}
   {%- endgeneration -%}
    after
    {%- else -%}
      {{ message['content'] }}
    {%- endif %}

{% endfor %}`,
  "tags on one line": `{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{% endgeneration %}|{% else %}U:{{ m.content }}|{% endif %}{% endfor %}`,
};

const OTHER_TEMPLATES: Record<string, string> = {
  "values printed as Python prints them": `{{ true }} {{ none }} {{ 1.0 }} {{ 2 // 3 }} {{ [1, 'a', none, true] }} {{ {'k': "it's"} }} {{ (1, 2) }} {{ 'x' ~ true ~ none ~ 3 }} {{ '' == 0 }} {{ 1 == true }} {{ [] == [] }} {{ '1' == 1 }} {{ {'a': [1]} == {'a': [1]} }}`,
  "JSON as transformers writes it": `{{ messages | tojson }}{{ {'b': '<&>', 'a': 'é台'} | tojson }}{{ [1, {'x': none}] | tojson(indent=2) }}{{ 'é' | tojson(ensure_ascii=true) }}`,
  "numbers and escapes": `{{ 1e3 }} {{ 0x10 }} {{ 1_000 }} {{ 'a\\x41\\u00e9\\q\\101' }} {{ 3.50 }} {{ -2 | abs }} {{ 2 ** 3 }} {{ messages.0.role }} {{ 7 % 3 }}`,
  "loop controls, namespace, slices": `{% set ns = namespace(last=-1, found=false) %}
{% for m in messages[::-1] %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{% set ns.last = loop.index0 %}{% continue %}{% endif %}{{ loop.index }}/{{ loop.length }}{% if loop.index > 3 %}{% break %}{% endif %}
{% else %}none
{% endfor %}
{{ ns.last }} {{ messages[-1].role }} {{ messages[1:] | length }} {{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}`,
  "loops keep their scopes to themselves and their output at a break": `{% for m in messages %}{% if loop.first %}{% set x = 'set' %}{% endif %}[{{ x }}]{% for c in ['a', 'b'] %}{{ c }}{% if m.role == 'user' %}{% break %}{% endif %}!{% else %}never{% endfor %}{% if loop.index == 2 %}{% break %}{% endif %};{% endfor %}{{ x }}`,
  "macros, calls and set blocks": `{% macro turn(m, prefix='>') %}{{ prefix }}{{ m.role }}: {{ m.content }}{% endmacro %}
{% set head %}
  [head]
{% endset %}
{{ head | trim }}
{% for m in messages %}{{ turn(m, prefix='#') }}
{% endfor %}{% filter upper %}shout{% endfilter %}`,
  "comments, raw and signs": `{# a comment #}
  {#- another -#}
  {% raw %}{{ not this }}{% endraw %}
  {%+ if true %}kept{% endif +%}
tail {{- ' x ' -}} y
{% if messages is defined and tools is none and nothing is not defined %}ok{% endif %}
{{ messages[0].content | length }} {{ nothing }} {{ nothing | default('d') }} {{ '' | default('e', true) }}

`,
  "CRLF newlines":
    "{% for m in messages %}\r\n{{ m.role }}:\r\n  {% if loop.last %}\r\nlast\r\n  {% endif %}\r\n{% endfor %}\r\n",
  "refusals by the template": `{{ raise_exception('never: ' + messages[0].role) }}`,
  "adding text to an undefined variable": `{{ nothing + 'x' }}`,
  strings: `{{ ' a,b '.strip().split(',') | join('|') }} {{ 'abc'.startswith('ab') }} {{ 'x' in 'xyz' }} {{ 'Ab'.upper() ~ 'Ab'.lower() }} {{ 'a-b'.replace('-', '+') }} {{ 'x' if false }} {{ 'ab'[0] }} {{ 'abc'[1:] }} {{ 'hi\nyo' | indent }} {{ '😀é' | length }}`,
};

const shared = existsSync(templates);
const skip = existsSync(python) ? "" : " (skipped: the oracle's Python environment is not set up)";

if (!shared) it.skip("templates of ../shared/data (skipped: the folder is absent)");

describe.skipIf(skip !== "")(`templates against transformers${skip}`, () => {
  const cases: { name: string; test: Case }[] = [];
  const add = (name: string, template: string, generation: boolean, tools?: unknown) => {
    for (const prompt of [false, true]) {
      const test: Case = { template, conversations, variables, generation, prompt };
      if (tools !== undefined) test.tools = tools;
      cases.push({ name: prompt ? `${name}, with the generation prompt` : name, test });
    }
  };
  if (shared) {
    for (const file of readdirSync(templates)) add(file, readFileSync(join(templates, file), "utf8"), false);
    const qwen = readFileSync(join(templates, "qwen2.5-instruct.jinja"), "utf8");
    const tool = { name: "get", description: "天氣 <b>", parameters: { type: "object", properties: {} } };
    add("qwen2.5-instruct.jinja with tools", qwen, false, [{ type: "function", function: tool }]);
  }
  for (const [name, source] of Object.entries(GENERATION_TEMPLATES)) add(`generation: ${name}`, source, true);
  for (const [name, source] of Object.entries(OTHER_TEMPLATES)) add(name, source, false);

  let answers: Answer[] | undefined;
  const answersOf = (index: number): Answer[] => {
    answers ??= ask(cases.map(({ test }) => test));
    return answers.slice(index * conversations.length, (index + 1) * conversations.length);
  };
  for (const [index, { name, test }] of cases.entries()) {
    it(name, { timeout: 60_000 }, () => expectSame(test, answersOf(index)));
  }
});
