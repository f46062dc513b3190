import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench";

describe("the tokens of a dataset's row", () => {
  let workbench: Workbench;
  beforeAll(async () => {
    workbench = await Workbench.open({ settings: { "editor.wordWrap": "on" } });
  });
  afterAll(() => workbench?.close());
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") await workbench?.keepEvidence(task.name);
  });

  /** Backgrounds that the editor paints behind text, by colour. */
  const backgrounds = () =>
    workbench.editor
      .locator(".view-overlays .cdr, .view-line span[class*='ced-']")
      .evaluateAll(
        (elements) => new Set(elements.map((each) => getComputedStyle(each).backgroundColor)).size,
      );

  /** Spans of text that have a line drawn below them, and no line elsewhere. */
  const underlined = () =>
    workbench.editor.locator(".view-overlays .cdr, .view-line span[class*='ced-']").evaluateAll(
      (elements) =>
        elements.filter((each) => {
          const { borderBottomStyle, borderBottomWidth, borderTopWidth } = getComputedStyle(each);
          return borderBottomStyle === "solid" && borderBottomWidth === "2px" && borderTopWidth === "0px";
        }).length,
    );

  it("are shaded in turn in the editor, and the trained ones underlined", async () => {
    await workbench.openFile("sft.jsonl");
    await workbench.goTo(1);
    const before = await backgrounds();
    await workbench.command("Ziptie: Show Tokens");
    await expect.poll(backgrounds, { timeout: 60_000 }).toBeGreaterThan(before + 1);
    expect(await underlined()).toBeGreaterThan(0);
    await workbench.screenshots("workbench-tokens");
  });
});
