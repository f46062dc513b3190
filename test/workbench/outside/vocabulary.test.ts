import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench";

const sentences = [
  "臺灣的貓咪在屋頂上曬太陽。",
  "分詞器把文字切成詞元，每個詞元都有自己的編號。",
  "學生在圖書館裡讀書，老師在教室裡教書。",
  "昨天下午下了一場大雨，街道上都是水。",
];
const config = (dataset: string) => `stage: vocabulary
tokenizer_name_or_path: tokenizer
scripts: [Han]
dataset: ${dataset}
vocab_size: 400
min_frequency: 2
output_dir: runs
`;

describe("extending a vocabulary", () => {
  let workbench: Workbench;
  beforeAll(async () => {
    workbench = await Workbench.open();
    const text = Array.from(
      { length: 200 },
      (_, line) => `${sentences[line % sentences.length]} cat ${line}`,
    );
    writeFileSync(join(workbench.folder, "small.txt"), text.join("\n"));
    const varied = Array.from({ length: 400_000 }, (_, line) =>
      String.fromCodePoint(
        0x4e00 + (line % 20_000),
        0x4e00 + ((line * 7) % 20_000),
        0x4e00 + ((line * 31) % 20_000),
      ),
    );
    writeFileSync(join(workbench.folder, "big.txt"), `${text.join("\n")}\n${varied.join("\n").repeat(12)}`);
    writeFileSync(join(workbench.folder, "big.ziptie.yaml"), config("big.txt"));
    writeFileSync(join(workbench.folder, "more.ziptie.yaml"), config("small.txt"));
  });
  afterAll(() => workbench?.close());
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") await workbench?.keepEvidence(task.name);
  });

  const runs = () => {
    try {
      return readdirSync(join(workbench.folder, "runs")).filter((name) => /^(big|more)-/.test(name));
    } catch {
      return [];
    }
  };

  it("shows how far it is, and leaves nothing behind when it is cancelled", async () => {
    await workbench.openFile("big.ziptie.yaml");
    await workbench.command("Ziptie: Extend Vocabulary");
    const progress = workbench.notification(/big\.ziptie\.yaml/);
    await progress.waitFor({ timeout: 60_000 });
    await progress
      .getByText(/Reading|Counting|Training|Merging|corpus|text/i)
      .first()
      .waitFor({ timeout: 60_000 });
    await workbench.screenshot("vocabulary-progress");
    await progress.getByRole("button", { name: "Cancel" }).click();
    await progress.waitFor({ state: "detached", timeout: 60_000 });
    await expect.poll(runs, { timeout: 30_000 }).toEqual([]);
  });

  it("ends with the report", async () => {
    await workbench.openFile("more.ziptie.yaml");
    await workbench.editor.getByText("▶ Extend Vocabulary").click();
    const report = await workbench.webview("h1#vocabulary-extension", 90_000);
    expect(await report.locator("table").innerText()).toMatch(/Characters per token\s+\d/);
    expect(runs()).toEqual(["more-1"]);
    await workbench.screenshot("vocabulary-report");
  });
});
