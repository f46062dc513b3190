import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Workbench } from "./workbench";

const workspace = join(__dirname, "..", "workspace");

describe("a window on a folder with a training config", () => {
  let workbench: Workbench;
  beforeAll(async () => {
    workbench = await Workbench.open(workspace);
  });
  afterAll(() => workbench?.close());
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") await workbench?.keepEvidence(task.name);
  });

  it("offers Ziptie's commands in the palette", async () => {
    expect(await (await workbench.findCommand("Ziptie: Start Training")).isVisible()).toBe(true);
    await workbench.page.keyboard.press("Escape");
  });
});
