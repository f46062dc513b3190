import type { JsonNode } from "../documents/json-tree";
import type { Finding } from "../text/span";
import { type DatasetFormat, formatFields, majorityFormat, sampledRows } from "./format";
import { typeNames } from "./row-findings";

/**
 * Names and types of a row's top-level fields in one string. Rows of one file mostly share it, so that comparing two
 * rows' columns is comparing two strings.
 */
export function columnsOf(row: JsonNode): string {
  if (row.type !== "object") return "";
  return row.properties
    .map(({ key, value }) => `${key.value}${separator}${value?.type ?? "null"}`)
    .join(rowSeparator);
}

const separator = "\u0000";
const rowSeparator = "\u0001";

/** What of a row decides the profile of its file. */
export interface RowTraits {
  readonly format: DatasetFormat | undefined;
  /** See `columnsOf`. */
  readonly columns: string;
}

/** What the first rows say of the whole file: its format, and which type each further column has. */
export class DatasetProfile {
  readonly format: DatasetFormat | undefined;
  /** Equal for profiles that judge every row alike. */
  readonly signature: string;
  readonly #types = new Map<string, string>();
  /** Columns already compared with the types, and whether they fit. */
  readonly #fits = new Map<string, boolean>();

  /** @param forced the format that a config gives, whatever the rows look like */
  constructor(firstRows: Iterable<RowTraits>, forced?: DatasetFormat) {
    const sample: RowTraits[] = [];
    for (const row of firstRows) {
      sample.push(row);
      if (sample.length === sampledRows) break;
    }
    this.format = forced ?? majorityFormat(sample.map(({ format }) => format));
    // Of rows that no format explains, nothing is known, so nothing is wrong.
    if (this.format !== undefined) this.#countTypes(sample, this.format);
    this.signature = `${this.format} ${[...this.#types].map(([name, type]) => name + separator + type).join(rowSeparator)}`;
  }

  #countTypes(sample: readonly RowTraits[], format: DatasetFormat): void {
    const counts = new Map<string, Map<string, number>>();
    for (const { columns } of sample) {
      for (const [name, type] of namesAndTypes(columns)) {
        if (type === "null" || formatFields[format].includes(name)) continue;
        const types = counts.get(name) ?? new Map<string, number>();
        counts.set(name, types.set(type, (types.get(type) ?? 0) + 1));
      }
    }
    for (const [name, types] of counts) {
      const most = [...types].reduce((best, candidate) => (candidate[1] > best[1] ? candidate : best));
      this.#types.set(name, most[0]);
    }
  }

  /** Adds `inconsistent-fields` for the fields whose type is not the other rows'. */
  judge(row: JsonNode, columns: string, findings: Finding[]): void {
    if (row.type !== "object" || this.#fit(columns)) return;
    for (const { key, value } of row.properties) {
      const type = this.#types.get(key.value);
      if (!value || type === undefined || value.type === "null" || value.type === type) continue;
      const scalar = value.type !== "object" && value.type !== "array";
      findings.push({
        rule: "inconsistent-fields",
        span: { start: value.start, end: scalar ? value.end : value.start + 1 },
        message: `\`${key.value}\` is ${typeNames[value.type]} here and ${typeNames[type as JsonNode["type"]]} in other rows; HF \`datasets\` refuses such a column.`,
      });
    }
  }

  #fit(columns: string): boolean {
    const known = this.#fits.get(columns);
    if (known !== undefined) return known;
    const fits = namesAndTypes(columns).every(
      ([name, type]) => type === "null" || (this.#types.get(name) ?? type) === type,
    );
    if (this.#fits.size > 10_000) this.#fits.clear();
    this.#fits.set(columns, fits);
    return fits;
  }
}

function namesAndTypes(columns: string): [string, string][] {
  if (columns === "") return [];
  return columns.split(rowSeparator).map((column) => {
    const at = column.lastIndexOf(separator);
    return [column.slice(0, at), column.slice(at + 1)];
  });
}
