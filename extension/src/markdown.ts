/** Text inside a table's cell, as code; whitespace and controls are made visible. */
export function code(token: string): string {
  const visible = [...token]
    .map((character) => (isControl(character) ? JSON.stringify(character).slice(1, -1) : character))
    .join("")
    .replaceAll("|", "\\|");
  const longest = Math.max(0, ...(visible.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const pad = longest > 0 || visible.trim() !== visible ? " " : "";
  return visible === "" ? "" : `${fence}${pad}${visible}${pad}${fence}`;
}

const isControl = (character: string): boolean => character < " " || character === "\u007f";

/** Text inside a table's cell, as it is; a line break would end the table. */
export const escaped = (text: string): string =>
  text.replace(/[\r\n]+/g, " ").replace(/[\\`*_{}[\]()#+\-.!|<>&]/g, "\\$&");
