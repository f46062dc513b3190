import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/** The parts of the manifest that the tests below read. */
interface Manifest {
  contributes: {
    commands: { command: string }[];
    menus: Record<string, { command: string; when?: string; group?: string }[]>;
    walkthroughs: { steps: { media: { markdown: string } }[] }[];
  };
}

const manifest: Manifest = JSON.parse(readFileSync("package.json", "utf8"));
const source = readdirSync("extension/src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join("extension/src", name), "utf8"))
  .join("\n");
const { contributes } = manifest;
const declared = contributes.commands.map(({ command }) => command);

test("every declared command is registered and every registered one declared", () => {
  const registered = [...source.matchAll(/\bregister\("(\w+)"/g)].map(([, id]) => `ziptie.${id}`);
  expect(registered.sort()).toEqual([...declared].sort());
});

test("menus, welcomes and the walkthrough offer only commands that exist", () => {
  const strings = readFileSync("package.nls.json", "utf8");
  const offered = [
    ...Object.values(contributes.menus)
      .flat()
      .map(({ command }) => command),
    ...[...strings.matchAll(/command:(ziptie\.\w+)/g)].map(([, command]) => command),
    ...[...JSON.stringify(contributes.walkthroughs).matchAll(/onCommand:(ziptie\.\w+)/g)].map(([, id]) => id),
  ];
  for (const command of offered) expect(declared).toContain(command);
});

test("a row of the Runs view has at most two inline actions", () => {
  const inline = (contributes.menus["view/item/context"] ?? []).filter(({ group }) =>
    group?.startsWith("inline"),
  );
  expect(inline).not.toEqual([]);
  for (const state of ["run active", "run ended resumable", "run ended"]) {
    const shown = inline.filter(({ when }) => {
      const pattern = /viewItem =~ \/(.*?)\//.exec(when ?? "")?.[1];
      return pattern === undefined || new RegExp(pattern).test(state);
    });
    expect(shown.length).toBeLessThanOrEqual(2);
  }
});

test("every file that the manifest names is there", () => {
  const files = [...JSON.stringify(manifest).matchAll(/"(?:\.\/)?((?:images|extension|l10n)\/[\w./-]+)"/g)];
  for (const [, path] of files) expect(existsSync(path as string), path).toBe(true);
});

test("each walkthrough page has its translation", () => {
  for (const { steps } of contributes.walkthroughs) {
    for (const { media } of steps) {
      expect(existsSync(media.markdown.replace(/\.md$/, ".nls.zh-tw.md")), media.markdown).toBe(true);
    }
  }
});
