import { basename } from "node:path";

/** A config's file name without `.ziptie.yaml`; its runs are named `<name>-<n>`. */
export function runNameOf(config: string): string {
  return basename(config).replace(/(\.ziptie)?\.ya?ml$/i, "");
}

/** The n of `<name>-<n>`; undefined for other names. */
export function runNumber(directoryName: string, name: string): number | undefined {
  if (!directoryName.startsWith(`${name}-`)) return undefined;
  const digits = directoryName.slice(name.length + 1);
  return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : undefined;
}
