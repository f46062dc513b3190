/**
 * The only file that knows `@vscode/webview-ui-toolkit`: registers its elements and makes them. The toolkit is deprecated, so
 * whoever replaces it replaces this file.
 */
import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodePanels,
  vsCodePanelTab,
  vsCodePanelView,
  vsCodeProgressRing,
} from "@vscode/webview-ui-toolkit";

provideVSCodeDesignSystem().register(
  vsCodeButton(),
  vsCodeCheckbox(),
  vsCodePanels(),
  vsCodePanelTab(),
  vsCodePanelView(),
  vsCodeProgressRing(),
);

export interface Button {
  readonly element: HTMLElement;
  setLabel(label: string): void;
  setEnabled(enabled: boolean): void;
}

export function button(label: string, appearance: "primary" | "secondary", onClick: () => void): Button {
  const element = document.createElement("vscode-button");
  element.setAttribute("appearance", appearance);
  element.textContent = label;
  element.addEventListener("click", onClick);
  return {
    element,
    setLabel: (text) => {
      if (element.textContent !== text) element.textContent = text;
    },
    setEnabled: (enabled) => element.toggleAttribute("disabled", !enabled),
  };
}

export interface Checkbox {
  readonly element: HTMLElement;
  readonly checked: boolean;
  setChecked(checked: boolean): void;
}

/** @param content the label, as text or as elements */
export function checkbox(
  content: string | Node,
  checked: boolean,
  onChange: (checked: boolean) => void,
): Checkbox {
  const element = document.createElement("vscode-checkbox") as HTMLElement & { checked: boolean };
  element.toggleAttribute("checked", checked);
  element.append(content);
  // The element also fires `change` when the program sets it; only a change from what was last set is a person's.
  let known = checked;
  element.addEventListener("change", () => {
    if (element.checked === known) return;
    known = element.checked;
    onChange(known);
  });
  return {
    element,
    get checked() {
      return known;
    },
    setChecked(value) {
      known = value;
      element.checked = value;
    },
  };
}

export function progressRing(label: string): HTMLElement {
  const element = document.createElement("vscode-progress-ring");
  element.setAttribute("aria-label", label);
  return element;
}

export interface Tabs {
  readonly element: HTMLElement;
  show(id: string): void;
}

/** Parts of a panel, one of them on the screen; the arrow keys go from tab to tab. */
export function tabs(
  label: string,
  parts: readonly { id: string; title: string; content: HTMLElement }[],
  active: string,
  onChange: (id: string) => void,
): Tabs {
  const element = document.createElement("vscode-panels") as HTMLElement & { activeid: string };
  element.setAttribute("aria-label", label);
  for (const { id, title } of parts) {
    const tab = document.createElement("vscode-panel-tab");
    tab.id = id;
    tab.textContent = title;
    element.append(tab);
  }
  for (const { content } of parts) {
    const view = document.createElement("vscode-panel-view");
    view.append(content);
    element.append(view);
  }
  element.setAttribute("activeid", active);
  // A checkbox inside a part also says that it has changed.
  element.addEventListener("change", ({ target }) => {
    if (target === element) onChange(element.activeid);
  });
  return {
    element,
    show: (id) => {
      element.activeid = id;
    },
  };
}
