#!/usr/bin/env node
import { rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
// Measures how long the training panel takes for a frame: 50,000 points in each of five series, live points coming in, the view moving.
// Usage: npm run bench -- panel [--json] [RUNS]; prints median, 95th percentile and CPU time in milliseconds.
import { build } from "esbuild";
import { launchChromium } from "../workbench/chromium.mjs";

const points = 50_000;
const frames = 240;
const asJson = process.argv.includes("--json");
const runCount = Number(process.argv.slice(2).find((argument) => /^\d+$/.test(argument)) ?? 1);

// The page and the sample runs are those of the tests, which are TypeScript.
const bundled = join("dist", "bench", "panel-page.mjs");
await build({
  stdin: {
    contents: `export * from "./test/webviews/panel-page"; export * from "./test/webviews/training/sample-runs";`,
    resolveDir: process.cwd(),
  },
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  outfile: bundled,
  logLevel: "warning",
});
const { PanelPage, servePanel, series, summary } = await import(pathToFileURL(bundled).href);
rmSync(bundled);

const browser = await launchChromium();
const server = await servePanel("training");
try {
  const panel = await PanelPage.open(browser, server, { width: 1440, height: 900 });
  const runs = Array.from({ length: runCount }, (_, index) => ({
    summary: summary(`run-${index + 1}`, { step: points, steps: 2 * points }),
    series: series(points, { total: 2 * points, seed: index + 3, floor: 1.5 + index / 5 }),
  }));
  const [primary] = runs;
  const message = {
    type: "snapshot",
    primary: primary.summary.run,
    runs,
    available: runs.map((run) => run.summary),
    max_overlaid: 8,
  };
  // As text, so that what is measured is the panel's work and not the test tool's way of handing over arguments.
  const snapshot = await panel.page.evaluate(async (text) => {
    const data = JSON.parse(text);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const began = performance.now();
    window.dispatchEvent(new MessageEvent("message", { data }));
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    return performance.now() - began;
  }, JSON.stringify(message));
  const live = series(frames * 10, { from: points + 1, total: 2 * points });

  await panel.page.evaluate(
    ({ live, frames, summary }) => {
      const slice = (from, to) =>
        Object.fromEntries(
          Object.entries(live).map(([name, values]) => [
            name,
            name.startsWith("evaluation") || name.startsWith("checkpoint") ? [] : values.slice(from, to),
          ]),
        );
      const chart = document.querySelector(".loss-chart .chart");
      const press = (key, shiftKey = false) =>
        chart.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, bubbles: true }));
      const over = document.querySelector(".loss-chart .u-over");
      const box = over.getBoundingClientRect();
      const act = {
        append: (frame) =>
          window.dispatchEvent(
            new MessageEvent("message", {
              data: { type: "append", run: summary.run, summary, series: slice(frame * 10, frame * 10 + 10) },
            }),
          ),
        pan: (frame) => press(frame % 16 < 8 ? "ArrowRight" : "ArrowLeft", true),
        hover: (frame) =>
          over.dispatchEvent(
            new MouseEvent("mousemove", {
              clientX: box.left + (frame / frames) * box.width,
              clientY: box.top + 50,
              bubbles: true,
            }),
          ),
      };
      /** Milliseconds that the page works for each frame: the action itself and the drawing that it causes. */
      const measure = async (name) => {
        const work = [];
        for (let frame = 0; frame < frames; frame++) {
          await new Promise((resolve) => requestAnimationFrame(resolve));
          // This callback is asked for before the panel's, so it marks when the panel begins to draw; the second marks its end.
          let drawing = 0;
          requestAnimationFrame(() => {
            drawing = performance.now();
          });
          const acting = performance.now();
          act[name](frame);
          const acted = performance.now() - acting;
          work.push(
            await new Promise((resolve) => {
              requestAnimationFrame(() => resolve(acted + performance.now() - drawing));
            }),
          );
        }
        return work;
      };
      Object.assign(window, { measure, press });
    },
    { live, frames, summary: primary.summary },
  );
  const devtools = await panel.page.context().newCDPSession(panel.page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const cpuSeconds = async () => {
    const { metrics } = await devtools.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value;
  };
  const quantile = (values, share) => {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  };
  const rounded = (value) => Number(value.toFixed(2));
  const results = {};
  for (const [name, key] of [
    ["append", "0"],
    ["pan", "+"],
    ["hover", "0"],
  ]) {
    await panel.page.evaluate((pressed) => window.press(pressed), key);
    const cpu = await cpuSeconds();
    const work = await panel.page.evaluate((action) => window.measure(action), name);
    results[name] = {
      median_ms: rounded(quantile(work, 0.5)),
      p95_ms: rounded(quantile(work, 0.95)),
      // Of the page's main thread, everything included; what other programs on the machine do does not count.
      cpu_mean_ms: rounded((1000 * ((await cpuSeconds()) - cpu)) / frames),
    };
  }
  const report = { points, runs: runCount, snapshot_ms: Math.round(snapshot), frames: results };
  if (panel.errors.length > 0) throw new Error(panel.errors.join("\n"));
  if (asJson) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    process.stdout.write(
      `training panel, ${points.toLocaleString("en")} points × 5 series × ${runCount} run(s)\n`,
    );
    process.stdout.write(`  snapshot to screen         ${report.snapshot_ms} ms\n`);
    for (const [name, { median_ms, p95_ms, cpu_mean_ms }] of Object.entries(report.frames)) {
      const times = `median ${median_ms} ms, 95 % ${p95_ms} ms, CPU ${cpu_mean_ms} ms a frame`;
      process.stdout.write(`  ${name.padEnd(26)} ${times}\n`);
    }
  }
} finally {
  await browser.close();
  await server.close();
}
