import assert from "node:assert/strict";
import * as vscode from "vscode";

describe("a rule's page", () => {
  it("opens where a diagnostic's rule id links to", async () => {
    await vscode.extensions.getExtension("ziptie.ziptie")?.activate();
    const page = await vscode.workspace.openTextDocument(vscode.Uri.parse("ziptie://rules/unknown-key"));
    assert.match(page.getText(), /^# unknown-key\n/);
  });

  it("says so when there is no such rule", async () => {
    await vscode.extensions.getExtension("ziptie.ziptie")?.activate();
    const page = await vscode.workspace.openTextDocument(vscode.Uri.parse("ziptie://rules/no-such-rule"));
    assert.match(page.getText(), /no-such-rule/);
  });
});
