import assert from "node:assert/strict";
import * as vscode from "vscode";

describe("the extension", () => {
  it("activates and registers every command it declares", async () => {
    const extension = vscode.extensions.getExtension("ziptie.ziptie");
    assert.ok(extension, "ziptie.ziptie is not installed");
    await extension.activate();
    const registered = new Set(await vscode.commands.getCommands(true));
    const declared: { command: string }[] = extension.packageJSON.contributes.commands;
    assert.ok(declared.length > 0);
    assert.deepEqual(
      declared.map(({ command }) => command).filter((command) => !registered.has(command)),
      [],
    );
  });
});
