import { type Disposable, l10n, languages, Uri, workspace } from "vscode";

/** Where a diagnostic's rule id links to: `ziptie://rules/unknown-role`. */
const scheme = "ziptie";

/** Shows the page of a lint rule, from the extension's own `docs/rules/`, when its id in a diagnostic is followed. */
export function showRulePages(extensionUri: Uri): Disposable[] {
  return [
    workspace.registerTextDocumentContentProvider(scheme, {
      async provideTextDocumentContent({ authority, path }) {
        const rule = /^\/([a-z0-9-]+)$/.exec(path)?.[1];
        if (authority !== "rules" || rule === undefined) return l10n.t("There is no such page.");
        const page = Uri.joinPath(extensionUri, "docs", "rules", `${rule}.md`);
        try {
          return new TextDecoder().decode(await workspace.fs.readFile(page));
        } catch {
          return l10n.t("There is no rule called {0}.", rule);
        }
      },
    }),
    // The address has no extension that would say so.
    workspace.onDidOpenTextDocument((document) => {
      if (document.uri.scheme === scheme && document.languageId !== "markdown") {
        void languages.setTextDocumentLanguage(document, "markdown");
      }
    }),
  ];
}
