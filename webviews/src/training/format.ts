import { locale } from "../messages";

const integer = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const fourDigits = new Intl.NumberFormat(locale, {
  minimumSignificantDigits: 4,
  maximumSignificantDigits: 4,
});
const threeDigits = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 4 });
const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });

const missing = "–";
const orMissing = (format: (value: number) => string) => (value: number) =>
  Number.isFinite(value) ? format(value) : missing;

export const formatCount = orMissing((value) => integer.format(value));
/** For axes, where there is little room. */
export const formatCompact = orMissing((value) => compact.format(value));
export const formatLoss = orMissing((value) => fourDigits.format(value));
export const formatNumber = orMissing((value) => threeDigits.format(value));
export const formatPercent = orMissing((value) => percent.format(value));

/** `9.7e-5`, as configs write it; plain where plain is shorter. */
export const formatLearningRate = orMissing((value) =>
  value === 0 || Math.abs(value) >= 0.01
    ? threeDigits.format(value)
    : value.toExponential(2).replace(/\.?0+e/, "e"),
);

export const formatRate = orMissing((value) =>
  value >= 1_000_000 ? compact.format(value) : integer.format(value),
);

/** Decimal units, as `nvidia-smi` and the plan have them. */
export const formatBytes = orMissing((value) => {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${threeDigits.format(scaled)} ${units[unit]}`;
});

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
