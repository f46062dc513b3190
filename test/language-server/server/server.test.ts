import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rowTokensRequest } from "../../../language-server/src/protocol";
import { annotated, expectDiagnostics, parseAnnotated, positionOf } from "../annotated";
import { Session, withEdits, workspace } from "./session";

const example = join(import.meta.dirname, "../../../examples/traditional-chinese");

const minimal = "stage: pretrain\nmodel_name_or_path: base\ndataset: rows.jsonl\n";
const base = { "base/config.json": "{}", "base/tokenizer.json": "{}", "rows.jsonl": '{"text": "a"}\n' };

describe("diagnostics", () => {
  test("stand under the smallest range that is wrong, as the config is typed", async () => {
    const folder = workspace(base);
    const session = await Session.start({ enabled: ["diagnostics"], folder });
    const source = annotated`
      stage: pretrain
      model_name_or_path: base
      dataset: rows.jsonl
      learning_rte: 1e-4
      ^^^^^^^^^^^^ unknown-key: Did you mean \`learning_rate\`?
      max_grad_norm: -1
                     ^^ value-out-of-range: at least 0
    `.replaceAll("\\`", "`");
    const expected = parseAnnotated(source);
    const uri = await session.open("a.ziptie.yaml", expected.text, "yaml");
    expectDiagnostics(expected, await session.diagnostics(uri));
  });

  test("follow incremental edits", async () => {
    const folder = workspace(base);
    const session = await Session.start({ enabled: ["diagnostics"], folder });
    const uri = await session.open("a.ziptie.yaml", minimal, "yaml");
    expect(await session.diagnostics(uri)).toEqual([]);
    const at = { line: 3, character: 0 };
    await session.change(uri, "sede: 1\n", { start: at, end: at });
    expect((await session.diagnostics(uri)).map(({ code }) => code)).toEqual(["unknown-key"]);
    await session.change(uri, "seed", { start: at, end: { line: 3, character: 4 } });
    expect(await session.diagnostics(uri)).toEqual([]);
  });

  test("link to the rule's page", async () => {
    const folder = workspace(base);
    const session = await Session.start({ enabled: ["diagnostics"], folder });
    const uri = await session.open("a.ziptie.yaml", `${minimal}sede: 1\n`, "yaml");
    expect((await session.diagnostics(uri))[0]).toMatchObject({
      source: "ziptie",
      severity: 1,
      codeDescription: { href: "ziptie://rules/unknown-key" },
    });
  });

  test("come from the worker for datasets, and follow edits there too", async () => {
    const folder = workspace(base);
    const session = await Session.start({ enabled: ["diagnostics"], folder });
    const row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n';
    const uri = await session.open("chat.jsonl", row.repeat(3), "jsonl");
    expect(await session.diagnostics(uri)).toEqual([]);
    const start = { line: 1, character: row.indexOf("user") };
    await session.change(uri, "usr", { start, end: { line: 1, character: start.character + 4 } });
    expect(await session.diagnostics(uri)).toMatchObject([
      { code: "unknown-role", range: { start, end: { line: 1, character: start.character + 3 } } },
    ]);
  });

  test("have the severities of the settings, and for its datasets those of a config before them", async () => {
    const folder = workspace({
      ...base,
      "a.ziptie.yaml":
        "stage: sft\nmodel_name_or_path: base\ndataset: data/chat.jsonl\nrules: { unknown-role: hint }\n",
    });
    const settings = { rules: { "unknown-role": "off", "json-syntax": "warning" } };
    const session = await Session.start({ enabled: ["diagnostics"], folder, settings });
    const text =
      '{"messages": [{"role": "usr", "content": "a"}, {"role": "assistant", "content": "b"}]}\n{\n';
    const named = await session.open("data/chat.jsonl", text, "jsonl");
    const severities = (await session.diagnostics(named)).map(({ code, severity }) => [code, severity]);
    expect(severities).toContainEqual(["unknown-role", 4]);
    expect(severities).toContainEqual(["json-syntax", 2]);
    const unnamed = await session.open("other.jsonl", text, "jsonl");
    expect((await session.diagnostics(unnamed)).map(({ code }) => code)).not.toContain("unknown-role");
  });

  test("of a config change when a file that it names is saved", async () => {
    const folder = workspace({ ...base, "chat.jinja": "{{ messages[0].content }}" });
    const session = await Session.start({ enabled: ["diagnostics"], folder });
    const config = minimal.replace("pretrain", "sft").concat("chat_template_path: chat.jinja\n");
    const uri = await session.open("a.ziptie.yaml", config, "yaml");
    expect(await session.diagnostics(uri)).toEqual([]);
    const template = await session.open("chat.jinja", "{% for m in messages %}", "jinja");
    const next = session.nextDiagnostics(uri);
    await session.save(template);
    expect(await next).toMatchObject([
      { code: "template-syntax", range: { start: { line: 3, character: 20 } } },
    ]);
  });

  test("are taken back when the document is closed", async () => {
    const folder = workspace(base);
    const session = await Session.start({ enabled: ["diagnostics"], folder });
    const uri = await session.open("a.ziptie.yaml", "stage: sftt\n", "yaml");
    expect(await session.diagnostics(uri)).not.toEqual([]);
    const cleared = new Promise((resolve) => {
      session.client.onNotification("textDocument/publishDiagnostics", (params) => resolve(params));
    });
    await session.close(uri);
    expect(await cleared).toEqual({ uri, diagnostics: [] });
  });

  test("are not given for other YAML files", async () => {
    const folder = workspace(base);
    const session = await Session.start({ enabled: ["diagnostics", "completion"], folder });
    const other = await session.open("docker-compose.yaml", "services: [", "yaml");
    const ours = await session.open("a.ziptie.yaml", "stage: sftt\n", "yaml");
    await session.diagnostics(ours);
    expect(await session.complete(other, { line: 0, character: 0 })).toEqual([]);
  });
});

describe("completion", () => {
  async function labels(source: string, files: Record<string, string> = base): Promise<string[]> {
    const { text, cursor } = parseAnnotated(annotated`${source}`);
    const session = await Session.start({ enabled: ["completion"], folder: workspace(files) });
    const uri = await session.open("a.ziptie.yaml", text, "yaml");
    return (await session.complete(uri, positionOf(text, cursor ?? 0))).map(({ label }) => label);
  }

  test("offers every key that is not there yet", async () => {
    const offered = await labels("stage: sft\n$0");
    expect(offered).toContain("learning_rate");
    expect(offered).toContain("chat_template_path");
    expect(offered).not.toContain("stage");
  });

  test("offers a key's values", async () => {
    expect(await labels("stage: $0")).toEqual(["vocabulary", "pretrain", "sft"]);
    expect(await labels("lora_target_modules:\n  - $0")).toContain("q_proj");
  });

  test("offers rules and nested keys", async () => {
    expect(await labels("rules:\n  $0")).toContain("unknown-role");
    expect(await labels("dataset:\n  - $0")).toEqual(["path", "format", "weight", "sample"]);
  });

  test("offers files and built-in templates where a path stands", async () => {
    const files = {
      ...base,
      "chat.jinja": "",
      "notes.txt": "",
      "data/train.jsonl": "",
      "data/deep/x.jsonl": "",
    };
    expect(await labels("chat_template_path: $0", files)).toEqual(["bailong", "base", "chat.jinja", "data"]);
    expect(await labels("dataset: data/$0", files)).toEqual(["deep", "train.jsonl"]);
    expect(await labels("dataset:\n  - path: data/tr$0", files)).toEqual(["deep", "train.jsonl"]);
    expect(await labels("dataset:\n  - data/$0", files)).toEqual(["deep", "train.jsonl"]);
  });
});

test("hover over a key says what it does, its default and where its name is from", async () => {
  const session = await Session.start({ enabled: ["hover"], folder: workspace(base) });
  const uri = await session.open("a.ziptie.yaml", `${minimal}use_bnb_nested_quant: true\n`, "yaml");
  const hover = await session.hover(uri, { line: 3, character: 5 });
  expect(hover).toContain("Default: `true`, unlike TRL, whose default is `false`.");
  expect(hover).toContain("TRL ModelConfig");
});

describe("code actions", () => {
  test("repair what a finding knows how to repair", async () => {
    const session = await Session.start({ enabled: ["diagnostics", "codeActions"], folder: workspace(base) });
    const text = `${minimal}learning_rte: 1e-4\n`;
    const uri = await session.open("a.ziptie.yaml", text, "yaml");
    const [fix] = await session.codeActions(uri, await session.diagnostics(uri));
    expect(fix).toMatchObject({ title: "Replace with `learning_rate`", isPreferred: true });
    expect(withEdits(text, fix?.edit?.changes?.[uri] ?? [])).toBe(`${minimal}learning_rate: 1e-4\n`);
  });

  test("silence a rule on its line", async () => {
    const session = await Session.start({ enabled: ["diagnostics", "codeActions"], folder: workspace(base) });
    const text = `${minimal}learning_rte: 1e-4 # for now\n`;
    const uri = await session.open("a.ziptie.yaml", text, "yaml");
    const actions = await session.codeActions(uri, await session.diagnostics(uri));
    const silence = actions.find(({ title }) => title.startsWith("Silence"));
    const silenced = withEdits(text, silence?.edit?.changes?.[uri] ?? []);
    expect(silenced).toContain("# for now # ziptie-ignore unknown-key\n");
    await session.change(uri, silenced);
    expect(await session.diagnostics(uri)).toEqual([]);
  });
});

describe.skipIf(!existsSync(join(example, "tokenizer/tokenizer.json")))("with the example project", () => {
  const origin = { line: 0, character: 0 };

  test("do not stand on a run's own copy of its config", async () => {
    const folder = workspace({ ...base, "runs/a-1/run.json": "{}", "mine/config.ziptie.yaml": minimal });
    const session = await Session.start({ enabled: ["codeLens"], folder });
    const copy = await session.open("runs/a-1/config.ziptie.yaml", minimal, "yaml");
    const own = await session.open("mine/config.ziptie.yaml", minimal, "yaml");
    expect(await session.codeLenses(copy)).toEqual([]);
    expect(await session.codeLenses(own)).not.toEqual([]);
  });

  test("code lenses start a config, show its plan and say what it comes to", async () => {
    const session = await Session.start({ enabled: ["codeLens"], folder: example });
    const uri = await session.open(
      "base.ziptie.yaml",
      await readFile(join(example, "base.ziptie.yaml"), "utf8"),
      "yaml",
    );
    const lenses = (await session.codeLenses(uri)).map(({ command }) => command);
    expect(lenses).toMatchObject([
      { title: "▶ Start", command: "ziptie.startTraining", arguments: [uri] },
      { title: "Plan", command: "ziptie.previewPlan", arguments: [uri] },
      { title: expect.stringMatching(/^[\d,]+ steps · [\d,]+ tokens an epoch · about \d+ MB$/) },
    ]);
  });

  test("a row's tokens, hint and hover agree", async () => {
    const session = await Session.start({ enabled: ["rowTokens", "hover", "inlayHints"], folder: example });
    const text = await readFile(join(example, "data/sft.jsonl"), "utf8");
    const uri = await session.open("data/sft.jsonl", text, "jsonl");
    const row = await session.request(rowTokensRequest, { uri, position: origin });
    if ("refused" in row) throw new Error(row.refused);
    expect(row.row).toBe(0);
    expect(row.supervised).toBeGreaterThan(0);
    expect(row.supervised).toBeLessThan(row.count);
    const hints = await session.inlayHints(uri, { start: origin, end: { line: 2, character: 0 } });
    expect(hints).toHaveLength(2);
    expect(hints[0]).toMatchObject({
      label: `${row.count} tokens · ${row.supervised} trained`,
      position: { line: 0, character: text.indexOf("\n") },
    });
    const hover = await session.hover(uri, { line: 0, character: 20 });
    expect(hover).toContain(`**${row.count} tokens**, ${row.supervised} of them trained`);
    expect(hover).toContain("template `bailong` · config `../qlora.ziptie.yaml`");
  });

  test("a dataset that no config names is counted with the tokenizer of the settings", async () => {
    const text = '{"text": "一二三"}\n';
    const folder = workspace({ "rows.jsonl": text });
    const position = origin;
    const without = await Session.start({ enabled: ["rowTokens"], folder });
    const refused = await without.request(rowTokensRequest, {
      uri: await without.open("rows.jsonl", text, "jsonl"),
      position,
    });
    expect(refused).toMatchObject({ refused: expect.stringContaining("ziptie.tokenizer") });
    const settings = { tokenizer: join(example, "tokenizer") };
    const session = await Session.start({ enabled: ["rowTokens"], folder, settings });
    const uri = await session.open("rows.jsonl", text, "jsonl");
    expect(await session.request(rowTokensRequest, { uri, position })).toMatchObject({
      row: 0,
      template: "",
    });
  });
});
