import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

/** Method, parameters and, for a request, result: of every `request<…>("…")` and `notification<…>("…")`. */
function declared(): string[][] {
  const path = join(root, "language-server/src/protocol.ts");
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const messages: string[][] = [];
  const visit = (node: ts.Node) => {
    const [method] = ts.isCallExpression(node) ? node.arguments : [];
    if (ts.isCallExpression(node) && method && ts.isStringLiteral(method)) {
      const types = (node.typeArguments ?? []).map((type) => type.getText().replace(/\s+/g, " "));
      if (method.text.startsWith("ziptie/")) messages.push([method.text, ...types]);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return messages;
}

/** The same from the tables of the page; the last column is prose. */
function documented(): string[][] {
  const page = readFileSync(join(root, "docs/protocol.md"), "utf8");
  return page
    .split("\n")
    .filter((line) => line.startsWith("| `ziptie/"))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -2)
        .map((cell) => cell.trim().replaceAll("`", "").replaceAll("\\|", "|")),
    );
}

test("docs/protocol.md lists every message with its parameters and result", () => {
  expect(declared().length).toBeGreaterThan(5);
  expect(documented().sort()).toEqual(declared().sort());
});
