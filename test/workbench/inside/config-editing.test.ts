import assert from "node:assert/strict";
import * as vscode from "vscode";
import { until } from "./waiting";

async function open(name: string): Promise<vscode.TextEditor> {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, "no folder is open");
  const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder.uri, name));
  return vscode.window.showTextDocument(document);
}

/** Ziptie's findings in a document, as soon as there is one with this rule. */
function finding(uri: vscode.Uri, rule: string): Promise<vscode.Diagnostic> {
  const ruleOf = ({ code }: vscode.Diagnostic) => (typeof code === "object" ? code.value : code);
  return until(
    vscode.languages.onDidChangeDiagnostics,
    () => vscode.languages.getDiagnostics(uri).find((each) => ruleOf(each) === rule),
    () => vscode.languages.getDiagnostics(uri),
  );
}

describe("a training config in the editor", () => {
  afterEach(() => vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor"));

  it("has a misspelt key underlined, exactly the key", async () => {
    const { document } = await open("broken.ziptie.yaml");
    const { range, severity, message } = await finding(document.uri, "unknown-key");
    assert.equal(document.getText(range), "learning_rat");
    assert.equal(severity, vscode.DiagnosticSeverity.Error);
    assert.match(message, /learning_rate/);
  });

  it("is mended by the quick fix, and then has no findings", async () => {
    const { document } = await open("broken.ziptie.yaml");
    const { range } = await finding(document.uri, "unknown-key");
    const fixes = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      "vscode.executeCodeActionProvider",
      document.uri,
      range,
      vscode.CodeActionKind.QuickFix.value,
    );
    const fix = fixes.find(({ edit }) => edit !== undefined);
    assert.ok(fix?.edit, `no fix with an edit among: ${fixes.map(({ title }) => title).join(", ")}`);
    assert.ok(await vscode.workspace.applyEdit(fix.edit));
    assert.match(document.getText(), /^learning_rate: 3e-3$/m);
    await until(
      vscode.languages.onDidChangeDiagnostics,
      () => (vscode.languages.getDiagnostics(document.uri).length === 0 ? true : undefined),
      () => vscode.languages.getDiagnostics(document.uri),
    );
  });

  it("completes keys that are not there yet", async () => {
    const editor = await open("base.ziptie.yaml");
    const { document } = editor;
    const end = document.lineAt(document.lineCount - 1).range.end;
    await editor.edit((edit) => edit.insert(end, "\nlogging_s"));
    const position = document.lineAt(document.lineCount - 1).range.end;
    const list = await vscode.commands.executeCommand<vscode.CompletionList>(
      "vscode.executeCompletionItemProvider",
      document.uri,
      position,
    );
    const labels = list.items.map(({ label }) => (typeof label === "string" ? label : label.label));
    assert.ok(labels.includes("logging_steps"), `offered: ${labels.slice(0, 20).join(", ")}`);
  });

  it("says what a key means on hover", async () => {
    const { document } = await open("base.ziptie.yaml");
    const offset = document.getText().indexOf("learning_rate:");
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
      "vscode.executeHoverProvider",
      document.uri,
      document.positionAt(offset + 3),
    );
    const text = hovers
      .flatMap(({ contents }) => contents)
      .map((content) => (typeof content === "string" ? content : content.value))
      .join("\n");
    assert.match(text, /learning rate/i);
  });

  it("offers Start above its first line", async () => {
    const { document } = await open("base.ziptie.yaml");
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      "vscode.executeCodeLensProvider",
      document.uri,
      10,
    );
    const start = lenses.find(({ command }) => command?.command === "ziptie.startTraining");
    assert.ok(start, `lenses: ${lenses.map(({ command }) => command?.title).join(" · ")}`);
    assert.equal(start.range.start.line, 0);
  });
});
