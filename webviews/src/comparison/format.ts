import { locale } from "../messages";

const integer = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const twoDecimals = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const megabytes = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });

const missing = "–";

export const formatCount = (value: number): string => integer.format(value);
/** A ratio to two decimals, as papers give them; a dash where there is nothing to divide by. */
export const formatRatio = (value: number, by: number): string =>
  by === 0 ? missing : twoDecimals.format(value / by);
export const formatDecimal = (value: number): string => twoDecimals.format(value);
export const formatShare = (value: number, of: number): string =>
  of === 0 ? missing : percent.format(value / of);
/** Decimal units. */
export const formatBytes = (bytes: number): string =>
  bytes >= 1e6 ? `${megabytes.format(bytes / 1e6)} MB` : `${integer.format(Math.ceil(bytes / 1e3))} KB`;

export const formatSeconds = (seconds: number): string =>
  new Intl.NumberFormat(locale, {
    style: "unit",
    unit: seconds < 90 ? "second" : "minute",
    maximumFractionDigits: seconds < 10 ? 1 : 0,
  }).format(seconds < 90 ? seconds : seconds / 60);
