import assert from "node:assert/strict";
import * as vscode from "vscode";
import { until } from "./waiting";

function workspaceFile(name: string): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, "no folder is open");
  return vscode.Uri.joinPath(folder.uri, name);
}

describe("a dataset in the editor", () => {
  it("has an unknown role underlined, exactly its value, and no other row", async () => {
    const document = await vscode.workspace.openTextDocument(workspaceFile("broken.jsonl"));
    await vscode.window.showTextDocument(document);
    const diagnostics = await until(vscode.languages.onDidChangeDiagnostics, () => {
      const found = vscode.languages.getDiagnostics(document.uri);
      return found.length > 0 ? found : undefined;
    });
    assert.deepEqual(
      diagnostics.map(({ range }) => [range.start.line, document.getText(range)]),
      [[1, "assistent"]],
    );
  });

  it("gives the token counts of a row on hover", async () => {
    const document = await vscode.workspace.openTextDocument(workspaceFile("data/sft.jsonl"));
    await vscode.window.showTextDocument(document);
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
      "vscode.executeHoverProvider",
      document.uri,
      new vscode.Position(0, 20),
    );
    const text = hovers
      .flatMap(({ contents }) => contents)
      .map((content) => (typeof content === "string" ? content : content.value))
      .join("\n");
    assert.match(text, /\d+ tokens.*\d+ of them trained/);
  });
});
