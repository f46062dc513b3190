import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Workbench } from "./workbench";

/** Long enough for two busy cores. */
const patience = { timeout: 60_000, interval: 200 };

/** The training panel in front. Its page comes and goes with the tab, so it is looked for each time. */
class Panel {
  constructor(private readonly workbench: Workbench) {}

  #page() {
    return this.workbench.webview(".run-header h1");
  }

  async step(): Promise<number> {
    const facts = await (await this.#page()).locator(".run-header .facts").innerText();
    return Number(/step ([\d,]+)/.exec(facts)?.[1]?.replaceAll(",", "") ?? Number.NaN);
  }

  async state(): Promise<string> {
    return (await this.#page()).locator(".run-header .state-name").innerText();
  }

  /** A number of the "now" box by its label. */
  async value(label: string): Promise<number> {
    const row = (await this.#page()).locator(`.now dt:text-is("${label}") + dd .number`);
    return Number((await row.innerText()).replaceAll(",", ""));
  }

  async press(button: string): Promise<void> {
    await (await this.#page()).getByRole("button", { name: button, exact: true }).click();
  }
}

describe("from a mistake in a config to a falling loss", () => {
  let workbench: Workbench;
  let panel: Panel;
  let engine: number | undefined;
  const run = "broken-1";

  let brokenOff = false;

  beforeAll(async () => {
    workbench = await Workbench.open();
    panel = new Panel(workbench);
  });
  afterAll(() => workbench?.close());
  // One person's afternoon: each step begins where the one before it ended.
  beforeEach(({ skip }) => skip(brokenOff, "an earlier step failed"));
  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    brokenOff = true;
    await workbench?.keepEvidence(task.name);
  });

  it("underlines the mistake", async () => {
    await workbench.openFile("broken.ziptie.yaml");
    await workbench.editor.locator(".squiggly-error").waitFor({ timeout: 60_000 });
    await workbench.screenshots("workbench-mistake");
  });

  it("mends it by the quick fix", async () => {
    await workbench.line("learning_rat").click();
    await workbench.page.keyboard.press("Control+.");
    await workbench.page.locator(".action-widget", { hasText: "learning_rate" }).waitFor();
    await workbench.screenshot("workbench-fix");
    await workbench.page.keyboard.press("Enter");
    await workbench.line("learning_rate: 3e-3").waitFor();
    await workbench.editor.locator(".squiggly-error").waitFor({ state: "detached" });
  });

  it("starts training from the palette and opens the panel", async () => {
    await workbench.command("Ziptie: Start Training");
    await expect.poll(() => panel.step(), patience).toBeGreaterThan(0);
    expect(await panel.state()).toBe("running");
    engine = workbench.engine(run);
    expect(engine).toBeTypeOf("number");
  });

  it("shows the loss falling", async () => {
    // A model that knows nothing gives each of the tokenizer's tokens the same chance: its loss is the logarithm of their number.
    const untrained = Math.log(2048);
    await expect.poll(() => panel.value("smoothed"), patience).toBeLessThan(untrained - 0.5);
    await workbench.screenshots("workbench-training");
  });

  it("shows the run in the Runs view and the status bar", async () => {
    await workbench.statusBar.getByText(run).waitFor();
    await workbench.command("View: Show Ziptie");
    await workbench.page.locator(".sidebar .monaco-list-row", { hasText: run }).waitFor();
  });

  it("says that the run is going on when it is started again", async () => {
    await workbench.openFile("broken.ziptie.yaml");
    await workbench.command("Ziptie: Start Training");
    await workbench.notification(/being trained already.*broken-1/).waitFor();
    expect(workbench.engine(run)).toBe(engine);
    await workbench.command("Notifications: Clear All Notifications");
  });

  it("keeps training while the window reloads, and shows the whole history after", async () => {
    const tab = workbench.page.locator(".tab", { hasText: run });
    await tab.click();
    await expect.poll(() => panel.step(), patience).toBeGreaterThan(0);
    const before = await panel.step();
    await workbench.reload();
    // The workbench remembers its tabs at once, and which one was in front only after a while.
    await tab.click();
    await expect.poll(() => panel.step(), patience).toBeGreaterThan(before);
    expect(workbench.engine(run)).toBe(engine);
    await panel.press("Copy CSV");
    const readClipboard = () => workbench.page.evaluate(() => navigator.clipboard.readText());
    await expect.poll(readClipboard, patience).toMatch(/^[^\n]*step[^\n]*\n(?:[^\n]*,)?1,/);
  });

  it("keeps training while the language server is lost, and goes on showing it", async () => {
    const before = await panel.step();
    await workbench.command("Ziptie: Restart Language Server");
    await expect.poll(() => panel.step(), patience).toBeGreaterThan(before + 10);
    expect(workbench.engine(run)).toBe(engine);
  });

  it("stops with a checkpoint and goes on from there", async () => {
    await panel.press("Stop");
    await expect.poll(() => panel.state(), patience).toBe("stopped");
    await expect.poll(() => workbench.engine(run), patience).toBeUndefined();
    const stoppedAt = await panel.step();
    await panel.press("Resume");
    await expect.poll(() => panel.step(), patience).toBeGreaterThan(stoppedAt);
    expect(workbench.engine(run)).not.toBe(engine);
    await workbench.command("Ziptie: Stop Training");
    await expect.poll(() => panel.state(), patience).toBe("stopped");
  });

  it("says at which step a run has failed", async () => {
    await workbench.openFile("diverging.ziptie.yaml");
    await workbench.command("Ziptie: Start Training");
    const notification = workbench.notification(/diverging-1 has failed: .*step \d+/);
    await notification.waitFor({ timeout: 60_000 });
    await workbench.screenshot("workbench-failed");
    await notification.getByRole("button", { name: "Open Log" }).click();
    await workbench.page.locator(".tab.active", { hasText: "engine.log" }).waitFor();
  });
});
