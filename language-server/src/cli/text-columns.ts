/**
 * Rows as aligned columns of a terminal.
 *
 * @param isNumber whether a column is aligned to the right
 */
export function columns(rows: readonly (readonly string[])[], isNumber: (column: number) => boolean): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    // The first thousand rows tell.
    rows.slice(0, 1000).reduce((width, row) => Math.max(width, displayWidth(row[column] ?? "")), 0),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const padding = " ".repeat(Math.max(0, (widths[column] ?? 0) - displayWidth(cell)));
          return isNumber(column) ? padding + cell : cell + padding;
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Columns a terminal takes: none for combining marks, two for wide East Asian characters and emoji. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}
