/** The theme's colours as a canvas can take them. */
export interface Palette {
  foreground: string;
  muted: string;
  grid: string;
  background: string;
  error: string;
  warning: string;
  /** One for each run; the first is the panel's own. */
  runs: string[];
  font: string;
  highContrast: boolean;
}

const runColors = [
  "--vscode-charts-blue",
  "--vscode-charts-orange",
  "--vscode-charts-purple",
  "--vscode-charts-green",
  "--vscode-charts-red",
  "--vscode-charts-yellow",
];

function read(): Palette {
  const style = getComputedStyle(document.body);
  const color = (name: string, otherwise: string) => style.getPropertyValue(name).trim() || otherwise;
  const foreground = color("--vscode-foreground", style.color);
  return {
    foreground,
    muted: color("--vscode-descriptionForeground", foreground),
    grid: foreground,
    background: color("--vscode-editor-background", "transparent"),
    error: color("--vscode-errorForeground", foreground),
    warning: color("--vscode-editorWarning-foreground", foreground),
    runs: runColors.map((name) => color(name, foreground)),
    font: `11px ${style.fontFamily}`,
    highContrast: document.body.classList.contains("vscode-high-contrast"),
  };
}

let current = read();

export const palette = (): Palette => current;

/** Calls back after the editor's theme has changed; VS Code then rewrites the body's classes and the root's style. */
export function onThemeChange(listener: () => void): void {
  const observer = new MutationObserver(() => {
    const next = read();
    if (JSON.stringify(next) === JSON.stringify(current)) return;
    current = next;
    listener();
  });
  observer.observe(document.body, { attributes: true, attributeFilter: ["class", "data-vscode-theme-id"] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["style", "class"] });
}
