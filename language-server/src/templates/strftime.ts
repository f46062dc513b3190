const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];

/**
 * Python's `strftime` in local time and its default locale (English names), for the directives that give a date or a
 * time of day; any other stays as it is written. A `-` after `%` leaves out leading zeros.
 */
export function strftime(date: Date, format: string): string {
  const hour12 = date.getHours() % 12 || 12;
  const values: Readonly<Record<string, () => string | [value: number, width: number]>> = {
    Y: () => String(date.getFullYear()),
    y: () => [date.getFullYear() % 100, 2],
    m: () => [date.getMonth() + 1, 2],
    d: () => [date.getDate(), 2],
    H: () => [date.getHours(), 2],
    I: () => [hour12, 2],
    M: () => [date.getMinutes(), 2],
    S: () => [date.getSeconds(), 2],
    j: () => [dayOfYear(date), 3],
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    A: () => DAYS[date.getDay()] ?? "",
    a: () => (DAYS[date.getDay()] ?? "").slice(0, 3),
    B: () => MONTHS[date.getMonth()] ?? "",
    b: () => (MONTHS[date.getMonth()] ?? "").slice(0, 3),
    F: () => strftime(date, "%Y-%m-%d"),
    T: () => strftime(date, "%H:%M:%S"),
    "%": () => "%",
  };
  return format.replace(/%(-?)([\s\S])/g, (written, bare: string, letter: string) => {
    const value = values[letter]?.();
    if (value === undefined) return written;
    if (typeof value === "string") return value;
    return bare ? String(value[0]) : String(value[0]).padStart(value[1], "0");
  });
}

function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (day - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000 + 1;
}
