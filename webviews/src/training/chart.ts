import uPlot from "uplot";
import { el, setText } from "../elements";
import { palette } from "../palette";
import { type ChartTable, chartTable, type Extent, extentOf, type Line } from "./decimation";
import { type AxisNotation, formatAxis } from "./format";

export interface ChartLine extends Line {
  /** Index into the palette's run colours. */
  color: number;
  look: "raw" | "smoothed" | "evaluation" | "plain";
}

/** Marks over a chart, by step. */
export interface ChartMarks {
  checkpoints: readonly number[];
  notFinite: readonly number[];
  spikes: readonly number[];
}

export interface ChartOptions {
  title: string;
  notation: AxisNotation;
  height: number;
  axisWidth: number;
  /** The steps that are shown now. */
  view(): { from: number; to: number };
  onHover(step: number | undefined): void;
  onZoom(from: number, to: number): void;
  onReset(): void;
}

const rawAlpha = 0.3;
const rawAlphaHighContrast = 0.55;
/** Share of the extent that is left free above and below. */
const padding = 0.06;

/** One chart: a title with its value, and lines over the optimizer step. Draws at most a few points for each pixel. */
export class Chart {
  readonly element: HTMLElement;
  readonly #value = el("span", { class: "chart-value" });
  readonly #plotElement = el("div", { class: "chart-plot" });
  #plot: uPlot | undefined;
  #lines: readonly ChartLine[] = [];
  #marks: ChartMarks = { checkpoints: [], notFinite: [], spikes: [] };
  #extent: Extent | undefined;
  #logarithmic = false;
  #width = 0;

  constructor(private readonly options: ChartOptions) {
    this.element = el(
      "section",
      { class: "chart" },
      el("header", {}, el("h2", {}, options.title), this.#value),
      this.#plotElement,
    );
  }

  /** The drawing surface; undefined before the first layout. */
  get canvas(): HTMLCanvasElement | undefined {
    return this.#plot?.ctx.canvas;
  }

  get title(): string {
    return this.options.title;
  }

  setValue(text: string): void {
    setText(this.#value, text);
  }

  setLines(lines: readonly ChartLine[]): void {
    this.#lines = lines;
    this.#rebuild();
  }

  setMarks(marks: ChartMarks): void {
    this.#marks = marks;
  }

  setLogarithmic(logarithmic: boolean): void {
    if (this.#logarithmic === logarithmic) return;
    this.#logarithmic = logarithmic;
    this.#rebuild();
  }

  /** Fits the plot to its element. */
  resize(): void {
    const width = Math.floor(this.#plotElement.clientWidth);
    if (width === this.#width || width === 0) return;
    this.#width = width;
    if (this.#plot === undefined) this.#rebuild();
    else this.#plot.setSize({ width, height: this.options.height });
  }

  /** Draws what the lines hold now. */
  update(): void {
    this.#plot?.setData(this.#table());
  }

  /** Puts the cursor's line on a step without telling anyone. */
  showCursor(step: number | undefined): void {
    if (this.#plot === undefined) return;
    const left = step === undefined ? -10 : this.#plot.valToPos(step, "x");
    this.#plot.setCursor({ left, top: step === undefined ? -10 : 0 }, false);
  }

  /** After a change of theme: axes and lines take their colours anew. */
  recolor(): void {
    this.#rebuild();
  }

  #table(): uPlot.AlignedData {
    const { from, to } = this.options.view();
    const plotWidth = Math.max(50, this.#width - this.options.axisWidth);
    const table: ChartTable = chartTable(this.#lines, from, to, Math.round(plotWidth * devicePixelRatio));
    this.#extent = extentOf(
      table,
      this.#lines.map(({ look }) => look === "raw"),
      this.#logarithmic,
    );
    // uPlot's own type wants no undefined in plain arrays, yet gives it a meaning: no point, no gap.
    return table as uPlot.AlignedData;
  }

  #range(): [number, number] {
    if (this.#extent === undefined) return this.#logarithmic ? [0.1, 10] : [0, 1];
    const { low, high } = this.#extent;
    if (this.#logarithmic) {
      const factor = (high / low) ** padding || 1;
      return low === high ? [low / 1.1, high * 1.1] : [low / factor, high * factor];
    }
    const free = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * padding;
    // A quantity that is never negative does not get an axis that goes below zero.
    return [low >= 0 ? Math.max(0, low - free) : low - free, high + free];
  }

  #rebuild(): void {
    if (this.#width === 0) return;
    this.#plot?.destroy();
    const colors = palette();
    const grid = { stroke: withAlpha(colors.grid, colors.highContrast ? 0.25 : 0.1), width: 1 };
    const axis = {
      stroke: colors.muted,
      font: colors.font,
      grid,
      ticks: { show: false },
      border: { show: false },
    };
    this.#plot = new uPlot(
      {
        width: this.#width,
        height: this.options.height,
        // Lines between pixels: rounding makes stairs of a slow curve.
        pxAlign: 0,
        padding: [8, 12, 0, 0],
        legend: { show: false },
        scales: {
          x: {
            time: false,
            range: () => {
              const { from, to } = this.options.view();
              return [from, to];
            },
          },
          y: { distr: this.#logarithmic ? 3 : 1, range: () => this.#range() },
        },
        axes: [
          {
            ...axis,
            size: 24,
            space: 60,
            incrs: stepIncrements,
            values: (_plot, splits) => formatAxis(splits, "compact"),
          },
          {
            ...axis,
            size: this.options.axisWidth,
            space: 26,
            ...(this.#logarithmic && {
              splits: (_plot, _axis, low, high) => logarithmicSplits(low, high),
              filter: (_plot, splits) => splits,
            }),
            values: (_plot, splits) => formatAxis(splits, this.options.notation),
          },
        ],
        series: [{}, ...this.#lines.map((line) => seriesOf(line))],
        cursor: {
          y: false,
          drag: { x: true, y: false, setScale: false },
          points: {
            // Only the line that is read gets a dot; the raw one behind it would only blur it.
            show: (_plot, series) =>
              this.#lines[series - 1]?.look === "raw" ? (undefined as unknown as HTMLElement) : el("div"),
            size: 7,
          },
          bind: {
            dblclick: () => () => {
              this.options.onReset();
              return null;
            },
          },
        },
        hooks: {
          setCursor: [
            ({ cursor: { left }, posToVal }) =>
              this.options.onHover(left === undefined || left < 0 ? undefined : posToVal(left, "x")),
          ],
          setSelect: [
            (plot) => {
              const { left, width } = plot.select;
              if (width < 4) return;
              const from = plot.posToVal(left, "x");
              const to = plot.posToVal(left + width, "x");
              plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              this.options.onZoom(from, to);
            },
          ],
          draw: [(plot) => this.#drawMarks(plot)],
        },
      },
      this.#table(),
      this.#plotElement,
    );
  }

  #drawMarks({ ctx, bbox, valToPos }: uPlot): void {
    const { from, to } = this.options.view();
    const colors = palette();
    const pixel = devicePixelRatio;
    const each = (steps: readonly number[], color: string, draw: (x: number) => void) => {
      ctx.fillStyle = color;
      ctx.strokeStyle = color;
      let last = Number.NEGATIVE_INFINITY;
      for (const step of steps) {
        if (step < from || step > to) continue;
        const x = Math.round(valToPos(step, "x", true));
        // Marks closer than a pixel are one mark.
        if (x - last < pixel) continue;
        last = x;
        draw(x);
      }
    };
    const bottom = bbox.top + bbox.height;
    ctx.save();
    ctx.lineWidth = pixel;
    each(this.#marks.checkpoints, colors.muted, (x) => {
      ctx.beginPath();
      ctx.moveTo(x - 4 * pixel, bottom);
      ctx.lineTo(x + 4 * pixel, bottom);
      ctx.lineTo(x, bottom - 7 * pixel);
      ctx.fill();
    });
    each(this.#marks.spikes, colors.warning, (x) => {
      ctx.beginPath();
      ctx.moveTo(x - 4 * pixel, bbox.top);
      ctx.lineTo(x + 4 * pixel, bbox.top);
      ctx.lineTo(x, bbox.top + 7 * pixel);
      ctx.fill();
    });
    each(this.#marks.notFinite, colors.error, (x) => {
      ctx.globalAlpha = 0.5;
      ctx.fillRect(x - pixel / 2, bbox.top, pixel, bbox.height);
      ctx.globalAlpha = 1;
      ctx.lineWidth = 2 * pixel;
      ctx.beginPath();
      const y = bbox.top + 5 * pixel;
      ctx.moveTo(x - 4 * pixel, y - 4 * pixel);
      ctx.lineTo(x + 4 * pixel, y + 4 * pixel);
      ctx.moveTo(x + 4 * pixel, y - 4 * pixel);
      ctx.lineTo(x - 4 * pixel, y + 4 * pixel);
      ctx.stroke();
    });
    ctx.restore();
  }
}

/** Places for an axis' numbers: even ones over a narrow range, where powers of ten would leave it bare, else 1, 2, 5, 10 … */
function logarithmicSplits(low: number, high: number): number[] {
  if (high / low < 10) {
    const rough = (high - low) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((digit) => digit * power >= rough) ?? 10);
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) =>
      Number(((first + index) * step).toPrecision(12)),
    );
  }
  const splits: number[] = [];
  const digits = high / low < 1000 ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const digit of digits) {
      const value = digit * 10 ** power;
      if (value >= low && value <= high) splits.push(value);
    }
  }
  return splits;
}

/** Steps are whole. */
const stepIncrements = [1, 2, 5].flatMap((digit) =>
  Array.from({ length: 9 }, (_, power) => digit * 10 ** power),
);
stepIncrements.sort((a, b) => a - b);

function seriesOf({ color, look }: ChartLine): uPlot.Series {
  const colors = palette();
  const stroke = colors.runs[color % colors.runs.length] ?? colors.foreground;
  const points = { show: false };
  switch (look) {
    case "raw":
      return {
        stroke: withAlpha(stroke, colors.highContrast ? rawAlphaHighContrast : rawAlpha),
        width: 1,
        points,
      };
    case "smoothed":
      return { stroke, width: 2, points };
    case "plain":
      return { stroke, width: 1.25, points };
    case "evaluation":
      return {
        stroke,
        width: 1.5,
        dash: [5, 4],
        points: { show: hasRoomForPoints, size: 6, stroke, fill: colors.background, width: 1.5 },
      };
  }
}

/** Dots that touch one another say less than the line alone. */
function hasRoomForPoints({ data, bbox }: uPlot, series: number): boolean {
  let count = 0;
  for (const value of data[series] ?? []) if (typeof value === "number") count++;
  return count * 10 < bbox.width / devicePixelRatio;
}

const canvas = document.createElement("canvas").getContext("2d");

/** A colour of the theme, in whatever notation, with an opacity. */
function withAlpha(color: string, alpha: number): string {
  if (canvas === null) return color;
  canvas.fillStyle = "#000";
  canvas.fillStyle = color;
  const normal = canvas.fillStyle;
  if (typeof normal !== "string" || !normal.startsWith("#")) return normal as string;
  return `${normal}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0")}`;
}
