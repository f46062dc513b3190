import { locale } from "../messages";

const integer = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const fourDigits = new Intl.NumberFormat(locale, {
  minimumSignificantDigits: 4,
  maximumSignificantDigits: 4,
});
const threeDigits = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });

const missing = "–";
const orMissing = (format: (value: number) => string) => (value: number) =>
  Number.isFinite(value) ? format(value) : missing;

export const formatCount = orMissing((value) => integer.format(value));
export const formatLoss = orMissing((value) => fourDigits.format(value));
/** Three digits; as a power of ten where zeros would be many. */
export const formatNumber = orMissing((value) =>
  value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3)
    ? exponential(value, 2)
    : threeDigits.format(value),
);
export const formatPercent = orMissing((value) => percent.format(value));

const exponential = (value: number, digits: number): string =>
  value
    .toExponential(digits)
    .replace(/(\.\d*?)0+e/, "$1e")
    .replace(/\.?e\+?/, "e");

/** `9.7e-5`, as configs write it; plain where plain is shorter. */
export const formatLearningRate = orMissing((value) =>
  value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 0.01)
    ? exponential(value, 2)
    : threeDigits.format(value),
);

export const formatRate = orMissing((value) =>
  value >= 1_000_000 ? compact.format(value) : integer.format(value),
);

/** Decimal units, as the plan has them. */
const bytesIn = (value: number, digits: Intl.NumberFormat): string => {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${digits.format(scaled)} ${units[unit]}`;
};
export const formatBytes = orMissing((value) => bytesIn(value, threeDigits));

/** How an axis writes its numbers. */
export type AxisNotation = "plain" | "compact" | "exponential" | "bytes";

/** Writes the numbers of an axis with as many digits as tell neighbours apart. */
export function formatAxis(values: readonly number[], notation: AxisNotation): string[] {
  const sorted = [...values].sort((a, b) => a - b);
  const gaps = sorted.slice(1).map((value, index) => value - (sorted[index] as number));
  const gap = Math.min(...gaps.filter((each) => each > 0));
  const greatest = Math.max(...sorted.map(Math.abs));
  const digits = Number.isFinite(gap) && greatest > 0 ? digitsFor(greatest, gap) : 3;
  const format = new Intl.NumberFormat(locale, {
    maximumSignificantDigits: digits,
    ...(notation === "compact" && { notation }),
  });
  return values.map((value) => {
    if (notation === "bytes") return bytesIn(value, format);
    const magnitude = Math.abs(value);
    const needsPower = magnitude >= 1e6 || magnitude < (notation === "exponential" ? 0.01 : 1e-3);
    return value !== 0 && needsPower && notation !== "compact"
      ? exponential(value, digits - 1)
      : format.format(value);
  });
}

/** Significant digits that numbers up to `greatest` need when they stand `gap` apart. */
function digitsFor(greatest: number, gap: number): number {
  const power = Math.floor(Math.log10(gap) + 1e-9);
  const mantissa = gap / 10 ** power;
  const fine = Math.abs(mantissa - Math.round(mantissa)) > 1e-6 ? 1 : 0;
  return Math.min(8, Math.max(2, Math.floor(Math.log10(greatest)) - power + 1 + fine));
}

const withUnit = (value: number, unit: string): string =>
  new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }).format(value);

/** Two units at most, in the locale's words. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor((whole % 86400) / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (days > 0) return `${withUnit(days, "day")} ${withUnit(hours, "hour")}`;
  if (hours > 0) return `${withUnit(hours, "hour")} ${withUnit(minutes, "minute")}`;
  if (minutes >= 10) return withUnit(minutes, "minute");
  if (minutes > 0) return `${withUnit(minutes, "minute")} ${withUnit(whole % 60, "second")}`;
  return withUnit(whole, "second");
}
