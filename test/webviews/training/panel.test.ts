import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type {
  RunSummary,
  TrainingPanelInput,
  TrainingPanelOutput,
} from "../../../language-server/src/protocol";
import { launchChromium } from "../../workbench/chromium.mjs";
import { PanelPage, type PanelServer, servePanel } from "../panel-page";
import type { ThemeName } from "../themes";
import { series, summary } from "./sample-runs";

let browser: Browser;
let server: PanelServer;
let panel: PanelPage<TrainingPanelInput, TrainingPanelOutput>;

beforeAll(async () => {
  [browser, server] = await Promise.all([launchChromium(), servePanel("training")]);
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await server?.close();
});
afterEach(async () => {
  expect(panel.errors).toEqual([]);
  await panel.close();
});

const others = [
  summary("sft-2", { state: "finished", step: 3120, eta_seconds: undefined }),
  summary("base-1", { state: "failed", step: 90, eta_seconds: undefined }),
];

function snapshot(change: Partial<RunSummary> = {}, steps = 412): TrainingPanelInput {
  const primary = summary("sft-3", change);
  return {
    type: "snapshot",
    primary: primary.run,
    runs: [{ summary: primary, series: series(steps) }],
    available: [primary, ...others],
    max_overlaid: 2,
  };
}

const text = (selector: string) => panel.page.locator(selector).innerText();
const isVisible = (selector: string) => panel.page.locator(selector).isVisible();
const state = () => panel.page.evaluate(() => document.body.dataset.state);

describe("states", () => {
  test("before the host answers, a skeleton stands where the charts will be", async () => {
    panel = await PanelPage.open(browser, server);
    expect(await state()).toBe("loading");
    expect(await panel.page.locator(".skeleton").count()).toBe(6);
    expect(await isVisible("vscode-progress-ring")).toBe(false);
    await panel.page.waitForSelector("vscode-progress-ring");
    expect(await text(".waiting")).toContain("Loading the run…");
    await panel.screenshot("loading");
  });

  test("without a run, the panel says what would be here and offers to start", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send({ type: "snapshot", primary: "/gone", runs: [], available: [], max_overlaid: 8 });
    expect(await state()).toBe("empty");
    await panel.screenshot("empty");
    await panel.page.getByRole("button", { name: "Start Training" }).click();
    expect(await panel.sent()).toContainEqual({ type: "start" });
  });

  test("while the data is prepared, it says what it waits for", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(
      snapshot({ state: "preparing", step: 0, steps: 0, loss: null, eta_seconds: undefined }, 0),
    );
    expect(await state()).toBe("waiting");
    await panel.page.waitForSelector("vscode-progress-ring");
    expect(await text(".waiting")).toContain("Preparing the data…");
  });

  test("a live run shows its step, its time left and its last values", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    expect(await state()).toBe("live");
    expect(await text(".run-header")).toMatch(
      /sft-3[\s\S]*running[\s\S]*step 412\/3,120[\s\S]*about 3 hr 32 min left/,
    );
    expect(await text(".now")).toContain("Now");
    await panel.page.getByRole("button", { name: "Stop" }).click();
    expect(await panel.sent()).toContainEqual({ type: "stop", run: "/project/runs/sft-3" });
    expect(await text(".run-header .buttons")).toContain("Stopping…");
  });

  test("an ended run offers to resume only if it can", async () => {
    panel = await PanelPage.open(browser, server);
    const stopped = { state: "stopped", eta_seconds: undefined, ended: "2025-03-01T10:30:00.000Z" } as const;
    await panel.send(snapshot(stopped));
    expect(await state()).toBe("ended");
    expect(await text(".run-header")).toContain("took 1 hr 30 min");
    await panel.page.getByRole("button", { name: "Resume" }).click();
    expect(await panel.sent()).toContainEqual({ type: "resume", run: "/project/runs/sft-3" });
    await panel.send(snapshot({ ...stopped, resumable: false }));
    expect(await panel.page.getByRole("button", { name: "Resume" }).count()).toBe(0);
  });

  test("a failed run says why, keeps its charts and leads to the log", async () => {
    panel = await PanelPage.open(browser, server);
    const message = snapshot(
      {
        state: "failed",
        eta_seconds: undefined,
        reason:
          "The loss is not a number at step 300. The last good checkpoint is step-200; lower learning_rate and resume.",
      },
      300,
    );
    if (message.type !== "snapshot") throw new Error("not a snapshot");
    const loss = message.runs[0]?.series.loss ?? [];
    loss[299] = null;
    loss[120] = 6;
    await panel.send(message);
    expect(await state()).toBe("failed");
    expect(await text("[role=alert]")).toContain("not a number at step 300");
    expect(await text(".legend")).toContain("not finite at step 300");
    expect(await text(".legend")).toContain("spike at step 121");
    await panel.screenshot("failed");
    await panel.page.getByRole("button", { name: "Open Log" }).click();
    expect(await panel.sent()).toContainEqual({ type: "openLog", run: "/project/runs/sft-3" });
  });

  test("a run that could not be told to stop can be told again", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    await panel.page.getByRole("button", { name: "Stop" }).click();
    expect(await text(".run-header")).toContain("Stopping…");
    await panel.send({ type: "stopRefused", run: "/project/runs/sft-3" });
    await panel.page.getByRole("button", { name: "Stop" }).click();
    expect((await panel.sent()).filter(({ type }) => type === "stop")).toHaveLength(2);
  });

  test("a run that cannot be read can be tried again", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send({ type: "failure", message: "The run directory /project/runs/sft-3 is gone." });
    expect(await text(".message")).toContain("is gone");
    await panel.page.getByRole("button", { name: "Try Again" }).click();
    expect((await panel.sent()).filter(({ type }) => type === "ready")).toHaveLength(2);
  });
});

describe("charts", () => {
  test("an evaluation before the first step is a point of its own, where the axis begins", async () => {
    panel = await PanelPage.open(browser, server);
    const primary = summary("sft-3", { step: 0, loss: null, evaluation_loss: 6.01 });
    const evaluated = { ...series(0), evaluation_step: [0], evaluation_loss: [6.01] };
    await panel.send({
      type: "snapshot",
      primary: primary.run,
      runs: [{ summary: primary, series: evaluated }],
      available: [primary],
      max_overlaid: 2,
    });
    expect(await state()).toBe("live");
    expect(await text(".run-header")).toContain("step 0/3,120");
    expect(await text(".now")).toContain("6.010");
    const chart = panel.page.locator(".loss-chart .chart");
    await chart.focus();
    expect(await chart.getAttribute("aria-label")).toContain("Step 0, evaluation 6.010");
    await panel.send({ type: "append", run: primary.run, summary: summary("sft-3"), series: series(2) });
    await panel.page.getByRole("button", { name: "Copy CSV" }).click();
    const copied = (await panel.sent()).find((message) => message.type === "copy");
    expect(copied?.text.split("\r\n").slice(1, 3)).toEqual([
      "sft-3,0,,,,,,6.01,",
      expect.stringMatching(/^sft-3,1,\d/),
    ]);
  });

  test("new points move the values and the charts", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    const before = await panel.page.locator("canvas").first().screenshot();
    await panel.send({
      type: "append",
      run: "/project/runs/sft-3",
      summary: summary("sft-3", { step: 512 }),
      series: series(100, { from: 413 }),
    });
    expect(await text(".run-header")).toContain("step 512/3,120");
    expect(await panel.page.locator("canvas").first().screenshot()).not.toEqual(before);
  });

  test("the mouse reads the same step in every chart", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    await panel.page.locator(".loss-chart .u-over").hover({ position: { x: 300, y: 100 } });
    expect(await text(".now h2")).toMatch(/^Step \d+$/);
    const cursors = panel.page.locator(".u-cursor-x");
    expect(await cursors.count()).toBe(5);
    const shares = await cursors.evaluateAll((lines) =>
      lines.map((line) => {
        const over = (line.parentElement as HTMLElement).getBoundingClientRect();
        return (line.getBoundingClientRect().left - over.left) / over.width;
      }),
    );
    for (const share of shares) expect(Math.abs(share - (shares[0] as number))).toBeLessThan(0.01);
    await panel.page.mouse.move(5, 5);
    await expect.poll(() => text(".now h2")).toBe("Now");
  });

  test("dragging zooms every chart and a double click shows everything again", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    const box = await panel.page.locator(".loss-chart .u-over").boundingBox();
    if (box === null) throw new Error("the loss chart has no place on the page");
    await panel.page.mouse.move(box.x + 200, box.y + 50);
    await panel.page.mouse.down();
    await panel.page.mouse.move(box.x + 400, box.y + 60, { steps: 4 });
    await panel.page.mouse.up();
    const { view } = (await panel.state()) as { view: [number, number] };
    const stepAt = (x: number) => 1 + (411 * x) / box.width;
    expect(view[0]).toBeCloseTo(stepAt(200), 0);
    expect(view[1]).toBeCloseTo(stepAt(400), 0);
    await panel.screenshot("zoomed");
    await panel.page.locator(".small-charts .u-over").first().dblclick();
    expect(((await panel.state()) as { view: unknown }).view).toBeUndefined();
  });

  test("the keyboard moves the cursor, zooms, pans and resets", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    const { page } = panel;
    const view = async () => ((await panel.state()) as { view?: [number, number] }).view;
    await page.locator(".loss-chart .chart").focus();
    expect(await page.locator(".loss-chart .chart").getAttribute("aria-label")).toMatch(/^Loss\. Step 412, /);
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    expect(await text(".now h2")).toBe("Step 2");
    await page.keyboard.press("PageDown");
    expect(await text(".now h2")).toBe("Step 12");
    expect(await page.locator("[aria-live]").innerText()).toMatch(/^Step 12, Loss /);
    await page.keyboard.press("+");
    expect(await view()).toEqual([expect.closeTo(6.5, 0), expect.closeTo(212, 0)]);
    await page.keyboard.press("Shift+ArrowRight");
    expect(await view()).toEqual([expect.closeTo(27, 0), expect.closeTo(232.5, 0)]);
    await page.keyboard.press("0");
    expect(await view()).toBeUndefined();
    await page.keyboard.press("Escape");
    expect(await text(".now h2")).toBe("Now");
  });

  test("everything that can be clicked can be reached with Tab", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    const reached: string[] = [];
    for (let presses = 0; presses < 24; presses++) {
      await panel.page.keyboard.press("Tab");
      reached.push(
        await panel.page.evaluate(() => {
          const element = document.activeElement;
          return (
            element?.getAttribute("aria-label")?.split(".")[0] ?? element?.textContent ?? element?.id ?? ""
          );
        }),
      );
    }
    for (const name of [
      "Stop",
      "Log",
      "Config",
      "Log scale",
      "Copy CSV",
      "Save CSV",
      "Save PNG",
      "Loss",
      "Learning rate",
      "Gradient norm",
      "Tokens per second",
      "Memory",
      "sft-2",
      "base-1",
    ]) {
      expect(reached).toContain(name);
    }
  });

  test("runs are laid over one another by ticking them", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    await panel.page.getByRole("checkbox", { name: "sft-2" }).click();
    expect(await panel.sent()).toContainEqual(
      expect.objectContaining({ type: "overlay", runs: expect.arrayContaining(["/project/runs/sft-2"]) }),
    );
    const message = snapshot();
    if (message.type !== "snapshot") throw new Error("not a snapshot");
    message.runs.push({
      summary: others[0] as RunSummary,
      series: series(700, { floor: 1.85, seed: 99 }),
    });
    await panel.send(message);
    await panel.page.locator(".loss-chart .u-over").hover({ position: { x: 500, y: 100 } });
    const losses = await panel.page.locator(".overlay li .number").allInnerTexts();
    expect(losses.slice(0, 2).every((loss) => /^\d\.\d{3}$/.test(loss))).toBe(true);
    expect(losses[2]).toBe("");
    await panel.screenshot("overlay");
  });

  test("once as many runs are laid over as there may be, no further one can be ticked", async () => {
    panel = await PanelPage.open(browser, server);
    const message = snapshot();
    if (message.type !== "snapshot") throw new Error("not a snapshot");
    message.max_overlaid = 1;
    message.runs.push({ summary: others[0] as RunSummary, series: series(700) });
    await panel.send(message);
    const boxOf = (name: string) => panel.page.getByRole("checkbox", { name });
    expect(await boxOf("base-1").isDisabled()).toBe(true);
    expect(await panel.page.locator(".overlay li", { hasText: "base-1" }).getAttribute("title")).toContain(
      "untick another",
    );
    expect(await boxOf("sft-2").isDisabled()).toBe(false);
  });

  test("runs that the host leaves out are asked for once and then given up", async () => {
    panel = await PanelPage.open(browser, server, {
      state: { overlay: ["/project/runs/sft-2", "/project/runs/base-1"] },
    });
    for (let round = 0; round < 3; round++) await panel.send(snapshot());
    const asked = (await panel.sent()).filter(({ type }) => type === "overlay");
    expect(asked).toEqual([{ type: "overlay", runs: ["/project/runs/sft-2", "/project/runs/base-1"] }]);
    expect(await panel.state()).toMatchObject({ overlay: [] });
  });

  test("smoothing, log scale, zoom and overlay come back after a reload", async () => {
    const saved = {
      primary: "/project/runs/sft-3",
      overlay: ["/project/runs/sft-2"],
      view: [100, 200],
      smoothing: 0.5,
      logarithmic: true,
    };
    panel = await PanelPage.open(browser, server, { state: saved });
    await panel.send(snapshot());
    expect(await panel.state()).toEqual(saved);
    expect(await panel.page.locator("input[type=range]").inputValue()).toBe("0.5");
    expect(await panel.page.getByRole("checkbox", { name: "Log scale" }).isChecked()).toBe(true);
    expect(await panel.sent()).toContainEqual({ type: "overlay", runs: ["/project/runs/sft-2"] });
    await panel.screenshot("log-scale");
  });

  test("what is shown leaves as CSV and as PNG", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot({}, 3));
    await panel.page.getByRole("button", { name: "Copy CSV" }).click();
    await panel.page.getByRole("button", { name: "Save PNG" }).click();
    const sent = await panel.sent();
    const copied = sent.find((message) => message.type === "copy");
    expect(copied?.text.split("\r\n")[0]).toBe(
      "run,step,loss,learning_rate,grad_norm,tokens_per_second,memory_bytes,evaluation_loss,checkpoint",
    );
    expect(copied?.text.split("\r\n")).toHaveLength(5);
    const saved = sent.find((message) => message.type === "save");
    expect(saved).toMatchObject({ name: "sft-3.png", format: "png" });
    expect(
      Buffer.from(saved?.base64 ?? "", "base64")
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
  });
});

describe("looks", () => {
  test.each(["dark", "light", "high-contrast"] as ThemeName[])("%s", async (theme) => {
    panel = await PanelPage.open(browser, server, { theme });
    await panel.send(snapshot());
    await panel.screenshot(theme);
    const background = await panel.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    expect(background).toBe(
      { dark: "rgb(31, 31, 31)", light: "rgb(255, 255, 255)", "high-contrast": "rgb(0, 0, 0)" }[theme],
    );
  });

  test("a change of theme recolours what is drawn", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send(snapshot());
    const pixels = () =>
      panel.page.evaluate(() => {
        const canvas = document.querySelector("canvas");
        const data =
          canvas?.getContext("2d")?.getImageData(60, 0, canvas.width - 60, canvas.height).data ?? [];
        let most = "";
        const counts = new Map<string, number>();
        for (let index = 0; index < data.length; index += 4) {
          if (data[index + 3] !== 255) continue;
          const color = `${data[index]},${data[index + 1]},${data[index + 2]}`;
          counts.set(color, (counts.get(color) ?? 0) + 1);
          if ((counts.get(color) ?? 0) > (counts.get(most) ?? 0)) most = color;
        }
        return most;
      });
    expect(await pixels()).toBe("89,164,249");
    await panel.setTheme("light");
    expect(await pixels()).toBe("26,133,255");
  });

  test("at 200 % zoom nothing is cut off sideways", async () => {
    panel = await PanelPage.open(browser, server, { width: 640, height: 450, deviceScaleFactor: 2 });
    await panel.send(snapshot());
    await panel.screenshot("zoom-200");
    const overflow = await panel.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBe(0);
  });

  test("in Traditional Chinese no English is left", async () => {
    const chinese = JSON.parse(readFileSync("l10n/bundle.l10n.zh-tw.json", "utf8"));
    const translated = await servePanel("training", chinese, "zh-tw");
    try {
      panel = await PanelPage.open(browser, translated);
      await panel.send(snapshot());
      await panel.screenshot("zh-tw");
      const words = await panel.page.locator("#panel").innerText();
      const english = words.replace(/sft-\d|base-\d|CSV|PNG|ETA|token|GB|e-\d/g, "").match(/[A-Za-z]{2,}/g);
      expect(english).toBeNull();
    } finally {
      await translated.close();
    }
  });
});
