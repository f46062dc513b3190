import { join } from "node:path";
import {
  commands,
  DiagnosticSeverity,
  type Disposable,
  l10n,
  languages,
  Uri,
  window,
  workspace,
} from "vscode";
import { isConfig } from "./training/configs";

const walkthroughId = "ziptie.ziptie#firstRun";
const exampleName = "traditional-chinese";

export function openWalkthrough(): Thenable<unknown> {
  return commands.executeCommand("workbench.action.openWalkthrough", walkthroughId, false);
}

/** Copies the example project to a folder of the person's choice and opens it there, so that runs have a place to go. */
export async function openExample(extensionUri: Uri): Promise<void> {
  const example = Uri.joinPath(extensionUri, "examples", exampleName);
  const [parent] =
    (await window.showOpenDialog({
      canSelectFiles: false,
      canSelectFolders: true,
      openLabel: l10n.t("Put Example Here"),
      title: l10n.t("Where to put the example project"),
    })) ?? [];
  if (parent === undefined) return;
  const target = Uri.joinPath(parent, `ziptie-${exampleName}`);
  const exists = await workspace.fs.stat(target).then(
    () => true,
    () => false,
  );
  if (!exists) {
    await workspace.fs.createDirectory(target);
    for (const [name] of await workspace.fs.readDirectory(example)) {
      // The example's own runs, if it was trained in place, are not part of it.
      if (name === "runs") continue;
      await workspace.fs.copy(Uri.joinPath(example, name), Uri.file(join(target.fsPath, name)));
    }
  }
  await commands.executeCommand("vscode.openFolder", target, {
    forceNewWindow: (workspace.workspaceFolders?.length ?? 0) > 0,
  });
}

/** Ticks the walkthrough's step "fix a mistake" when a config that had errors has none any more. */
export function watchForFixedConfig(): Disposable {
  const faulty = new Set<string>();
  const subscription = languages.onDidChangeDiagnostics(({ uris }) => {
    for (const uri of uris.filter(isConfig)) {
      const hasError = languages
        .getDiagnostics(uri)
        .some(
          ({ severity }) => severity === DiagnosticSeverity.Error || severity === DiagnosticSeverity.Warning,
        );
      if (hasError) faulty.add(uri.toString());
      else if (faulty.delete(uri.toString())) {
        void commands.executeCommand("setContext", "ziptie.configFixed", true);
        subscription.dispose();
        return;
      }
    }
  });
  return subscription;
}
