import { type TextEditorDecorationType, ThemeColor, window } from "vscode";

/** How tokens and their counts are drawn; made when they are first needed. */
export const makeTokenLooks = () => ({
  even: window.createTextEditorDecorationType({
    backgroundColor: new ThemeColor("ziptie.token.evenBackground"),
  }),
  odd: window.createTextEditorDecorationType({
    backgroundColor: new ThemeColor("ziptie.token.oddBackground"),
  }),
  trained: window.createTextEditorDecorationType({
    borderColor: new ThemeColor("ziptie.token.trained"),
    borderStyle: "solid",
    borderWidth: "0 0 2px 0",
  }),
  special: window.createTextEditorDecorationType({ color: new ThemeColor("ziptie.token.special") }),
  byte: window.createTextEditorDecorationType({
    outlineColor: new ThemeColor("ziptie.token.byte"),
    outlineStyle: "dotted",
    outlineWidth: "1px",
  }),
});

export type TokenLooks = Record<keyof ReturnType<typeof makeTokenLooks>, TextEditorDecorationType>;

/** Counts after a line or a selection. */
export const makeCountLook = (): TextEditorDecorationType =>
  window.createTextEditorDecorationType({
    after: {
      color: new ThemeColor("editorCodeLens.foreground"),
      margin: "0 0 0 2em",
      fontStyle: "normal",
    },
  });
