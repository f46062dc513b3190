import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dist } from "../../../scripts/paths.mjs";
import { Workbench } from "./workbench";

/** So small that it is trained while one waits, and so long that it knows its two dialogues by heart. */
const common =
  "tokenizer_name_or_path: tokenizer\nmax_length: 64\nlr_scheduler_type: constant\nwarmup_steps: 0\n";
const configs = {
  "tiny.ziptie.yaml": `stage: pretrain
model: { model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 96 }
${common}dataset: lines.jsonl
learning_rate: 1e-2
max_steps: 4
`,
  "chat.ziptie.yaml": `stage: sft
model_name_or_path: tiny.ziptie.yaml
chat_template_path: bailong
${common}dataset: dialogues.jsonl
use_peft: true
lora_r: 16
lora_target_modules: [q_proj, v_proj, down_proj, embed_tokens, lm_head]
learning_rate: 2e-2
max_steps: 80
`,
};
const dialogues = [
  ["天氣？", "今天是晴天。"],
  ["貓？", "很可愛😀！"],
];

describe("asking a run", () => {
  let workbench: Workbench;
  let brokenOff = false;
  beforeAll(async () => {
    workbench = await Workbench.open();
    const { folder } = workbench;
    writeFileSync(join(folder, "lines.jsonl"), '{"text": "一"}\n{"text": "two"}\n');
    const rows = dialogues.map(([question, answer]) =>
      JSON.stringify({
        messages: [
          { role: "user", content: question },
          { role: "assistant", content: answer },
        ],
      }),
    );
    writeFileSync(join(folder, "dialogues.jsonl"), `${rows.join("\n")}\n`);
    writeFileSync(join(folder, "notes.txt"), "天氣？\n貓？\n");
    writeFileSync(join(folder, "broken-prompts.jsonl"), '{"prompt": "貓？"}\n{"text": "貓？"}\n');
    const many = Array.from({ length: 20_000 }, (_, n) => JSON.stringify({ prompt: `貓？${n}` }));
    writeFileSync(join(folder, "many.jsonl"), `${many.join("\n")}\n`);
    for (const [name, config] of Object.entries(configs)) {
      writeFileSync(join(folder, name), config);
      const { status, stderr } = spawnSync(process.execPath, [join(dist, "cli.js"), "train", name], {
        cwd: folder,
        encoding: "utf8",
      });
      if (status !== 0) throw new Error(stderr);
    }
  });
  afterAll(() => workbench?.close());
  beforeEach(({ skip }) => skip(brokenOff, "an earlier step failed"));
  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    brokenOff = true;
    await workbench?.keepEvidence(task.name);
  });

  const page = (text: string) =>
    workbench.page.locator(".monaco-editor .view-line", { hasText: text }).first();
  const closeAnswers = () => workbench.command("View: Close All Editors");
  const choose = (label: string | RegExp) => workbench.entry(label).click();

  it("offers the newest run first, and what to ask", async () => {
    await workbench.command("Ziptie: Generate");
    await workbench.entry("chat-1").waitFor({ timeout: 60_000 });
    const first = workbench.quickInput.locator(".monaco-list-row.focused .label-name");
    expect(await first.innerText()).toBe("chat-1");
    expect(await workbench.entry("Choose a Model Folder…").count()).toBe(1);
    await workbench.screenshot("generation-models");
    await choose("chat-1");
    await workbench.entry("Type a Prompt…").waitFor();
    await workbench.screenshot("generation-prompts");
  });

  it("answers what is typed, beside the editor", async () => {
    await choose("Type a Prompt…");
    const input = workbench.quickInput.locator("input");
    await input.waitFor();
    await input.fill("天氣？");
    await workbench.page.keyboard.press("Enter");
    await page("> 天氣？").waitFor({ timeout: 60_000 });
    await page("今天是晴天。").waitFor({ timeout: 60_000 });
    await workbench.page.locator(".tab", { hasText: "Answers of chat-1" }).waitFor();
    await closeAnswers();
  });

  it("takes the selection of the editor at once", async () => {
    await workbench.openFile("notes.txt");
    await workbench.goTo(2);
    await workbench.page.keyboard.press("Shift+End");
    await workbench.command("Ziptie: Generate");
    await choose("chat-1");
    await page("> 貓？").waitFor({ timeout: 60_000 });
    await page("很可愛😀！").waitFor({ timeout: 60_000 });
    await workbench.screenshots("generation-answers");
    await closeAnswers();
  });

  it("answers every prompt of the file in the editor, in its order", async () => {
    await workbench.openFile("notes.txt");
    // The editor remembers what was selected in it.
    await workbench.goTo(1);
    await workbench.command("Ziptie: Generate");
    await choose("chat-1");
    await choose("Every Prompt of notes.txt");
    await page("很可愛😀！").waitFor({ timeout: 60_000 });
    const lines = await workbench.page.locator(".monaco-editor .view-line").allInnerTexts();
    const said = lines.map((line) => line.replaceAll("\u00a0", " ").trim());
    const order = ["> 天氣？", "今天是晴天。", "> 貓？", "很可愛😀！"].map((line) => said.lastIndexOf(line));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order[0]).toBeGreaterThanOrEqual(0);
    await closeAnswers();
  });

  it("leads to the line that is no prompt", async () => {
    await workbench.openFile("broken-prompts.jsonl");
    await workbench.command("Ziptie: Generate");
    await choose("chat-1");
    await choose("Every Prompt of broken-prompts.jsonl");
    const refusal = workbench.notification(/There is no prompt here/);
    await refusal.waitFor({ timeout: 60_000 });
    await workbench.screenshot("generation-refused");
    await refusal.getByRole("button", { name: "Go to Problem" }).click();
    await workbench.statusBar.getByText(/Ln 2, Col 1/).waitFor();
    await closeAnswers();
  });

  it("can be cancelled, and keeps what has been answered", async () => {
    await workbench.openFile("many.jsonl");
    await workbench.command("Ziptie: Generate");
    await choose("chat-1");
    await choose("Every Prompt of many.jsonl");
    const progress = workbench.notification("Generating with chat-1");
    await progress.getByText(/of 20000 answers/).waitFor({ timeout: 60_000 });
    await workbench.screenshot("generation-progress");
    await progress.getByRole("button", { name: "Cancel" }).click();
    await progress.waitFor({ state: "detached", timeout: 60_000 });
    await workbench.page.locator(".tab", { hasText: "Answers of chat-1" }).waitFor();
    await page("> 貓？0").waitFor();
    await closeAnswers();
  });

  it("exports the run's model into a folder", async () => {
    await workbench.command("Ziptie: Export Model");
    await choose("chat-1");
    await workbench.quickInput.getByText("Export Here").click();
    const told = workbench.notification(/The model of chat-1 is in .*chat-1-merged/);
    await told.waitFor({ timeout: 60_000 });
    await workbench.screenshot("export-finished");
    // The dialog takes the folder that is open in it, or one of those it lists: where the model is, is what is told.
    const [, merged = ""] = /is in (.*-merged)\./.exec(await told.innerText()) ?? [];
    expect(merged.startsWith(join(workbench.folder, "runs"))).toBe(true);
    expect(readdirSync(merged)).toEqual(
      expect.arrayContaining(["config.json", "model.safetensors", "chat_template.jinja", "tokenizer.json"]),
    );
  });
});
