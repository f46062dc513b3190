/** How numbers are written in the tree, the status bar and messages: with their unit, grouped as the locale does. */
export interface Formats {
  count(value: number): string;
  loss(value: number): string;
  bytes(value: number): string;
  percent(value: number): string;
  learningRate(value: number): string;
  /** Two units at most: `3h 32m`, `45s`. */
  duration(seconds: number): string;
}

export function formatsFor(locale: string): Formats {
  const integer = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const loss = new Intl.NumberFormat(locale, { minimumSignificantDigits: 4, maximumSignificantDigits: 4 });
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  const decimal = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
  const unit = (value: number, name: string) =>
    new Intl.NumberFormat(locale, {
      style: "unit",
      unit: name,
      unitDisplay: "narrow",
      maximumFractionDigits: 0,
    }).format(value);
  return {
    count: (value) => integer.format(value),
    loss: (value) => loss.format(value),
    percent: (value) => percent.format(value),
    bytes(value) {
      const names = ["B", "KB", "MB", "GB", "TB"];
      let scaled = value;
      let index = 0;
      while (scaled >= 1000 && index < names.length - 1) {
        scaled /= 1000;
        index++;
      }
      return `${decimal.format(scaled)} ${names[index]}`;
    },
    learningRate: (value) =>
      value === 0
        ? "0"
        : value >= 0.01
          ? decimal.format(value)
          : value.toExponential(2).replace(/\.?0+e/, "e"),
    duration(seconds) {
      const whole = Math.max(0, Math.round(seconds));
      const days = Math.floor(whole / 86400);
      const hours = Math.floor((whole % 86400) / 3600);
      const minutes = Math.floor((whole % 3600) / 60);
      const parts: [number, string][] =
        days > 0
          ? [
              [days, "day"],
              [hours, "hour"],
            ]
          : hours > 0
            ? [
                [hours, "hour"],
                [minutes, "minute"],
              ]
            : minutes >= 10
              ? [[minutes, "minute"]]
              : minutes > 0
                ? [
                    [minutes, "minute"],
                    [whole % 60, "second"],
                  ]
                : [[whole, "second"]];
      return parts
        .filter(([value], index) => value > 0 || index === 0)
        .map(([value, name]) => unit(value, name))
        .join(" ");
    },
  };
}
