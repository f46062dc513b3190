import { palette } from "../palette";
import type { Chart } from "./chart";
import type { RunColumns } from "./run-columns";

const header = [
  "run",
  "step",
  "loss",
  "learning_rate",
  "grad_norm",
  "tokens_per_second",
  "memory_bytes",
  "evaluation_loss",
  "checkpoint",
];

const field = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
const number = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? "" : String(value);

/** Everything that is shown as CSV (RFC 4180): a line for each step of each run, empty where there is no value. */
export function toCsv(runs: readonly RunColumns[]): string {
  const lines = [header.join(",")];
  for (const run of runs) {
    const evaluations = new Map(
      Array.from(run.evaluation_step.values(), (step, index) => [step, run.evaluation_loss.at(index)]),
    );
    const checkpoints = new Set(run.checkpoint_step.values());
    const places = new Map(Array.from(run.step.values(), (step, index) => [step, index]));
    const steps = [...new Set([...places.keys(), ...evaluations.keys(), ...checkpoints])].sort(
      (a, b) => a - b,
    );
    for (const step of steps) {
      const index = places.get(step) ?? -1;
      lines.push(
        [
          field(run.summary.name),
          String(step),
          number(run.loss.at(index)),
          number(run.learning_rate.at(index)),
          number(run.grad_norm.at(index)),
          number(run.tokens_per_second.at(index)),
          number(run.memory_bytes.at(index)),
          number(evaluations.get(step)),
          checkpoints.has(step) ? "1" : "",
        ].join(","),
      );
    }
  }
  return `${lines.join("\r\n")}\r\n`;
}

export function toBase64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** The charts as one PNG, the first over the full width and the others below it in two columns. @returns base64 */
export function toPng(
  title: string,
  legend: readonly { name: string; color: string }[],
  charts: readonly Chart[],
): string {
  const colors = palette();
  const scale = devicePixelRatio;
  const margin = 16 * scale;
  const heading = 22 * scale;
  const [first, ...others] = charts.filter(({ canvas }) => canvas !== undefined);
  const main = first?.canvas;
  if (first === undefined || main === undefined) throw new Error("nothing has been drawn yet");
  const width = Math.max(main.width, 640 * scale) + 2 * margin;
  const columnWidth = (width - 3 * margin) / 2;
  const rowHeight =
    Math.max(
      0,
      ...others.map(({ canvas }) =>
        canvas === undefined ? 0 : (canvas.height * columnWidth) / canvas.width,
      ),
    ) + heading;
  const rows = Math.ceil(others.length / 2);
  const height = 2 * margin + heading + heading + main.height + rows * (rowHeight + margin);

  const page = document.createElement("canvas");
  page.width = width;
  page.height = height;
  const context = page.getContext("2d");
  if (context === null) throw new Error("this window cannot draw images");
  context.fillStyle = colors.background;
  context.fillRect(0, 0, width, height);
  const fontSize = 12 * scale;
  const family = colors.font.slice(colors.font.indexOf(" ") + 1);
  context.textBaseline = "top";
  const write = (text: string, x: number, y: number, color: string, bold = false) => {
    context.font = `${bold ? "600 " : ""}${fontSize}px ${family}`;
    context.fillStyle = color;
    context.fillText(text, x, y);
    return context.measureText(text).width;
  };
  let x = margin + write(title, margin, margin, colors.foreground, true) + margin;
  for (const { name, color } of legend) {
    context.fillStyle = color;
    context.fillRect(x, margin + fontSize / 2 - scale, 14 * scale, 2 * scale);
    x += 20 * scale;
    x += write(name, x, margin, colors.muted) + margin;
  }
  let y = margin + heading;
  write(first.title, margin, y, colors.foreground);
  y += heading;
  context.drawImage(main, margin, y);
  y += main.height + margin;
  for (const [index, chart] of others.entries()) {
    const { canvas } = chart;
    if (canvas === undefined) continue;
    const left = margin + (index % 2) * (columnWidth + margin);
    const top = y + Math.floor(index / 2) * (rowHeight + margin);
    write(chart.title, left, top, colors.foreground);
    context.drawImage(canvas, left, top + heading, columnWidth, (canvas.height * columnWidth) / canvas.width);
  }
  return page.toDataURL("image/png").replace(/^data:image\/png;base64,/, "");
}
