import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const source = resolve(import.meta.dirname, "../../language-server/src");

/** In the order in which data flows: a room may import those before it. */
const rooms = [
  "text",
  "documents",
  "datasets",
  "templates",
  "tokenizers",
  "configs",
  "rules",
  "training",
  "judging",
  "features",
  "cli",
];

/** For everyone, the extension and the webviews included. */
const contracts = ["protocol.ts", "panel-messages.ts"];
/** On top of everything. */
const programs = ["server.ts", "worker.ts", "cli.ts"];

const roomOf = (path: string) => relative(source, path).split("/").at(0) ?? "";

interface Import {
  file: string;
  room: string;
  imported: string;
  /** The room of what is imported; undefined for a package. */
  target: string | undefined;
}

function imports(): Import[] {
  return readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const path = join(source, name);
      const { importedFiles } = ts.preProcessFile(readFileSync(path, "utf8"), true, true);
      return importedFiles.map(({ fileName }) => ({
        file: name,
        room: roomOf(path),
        imported: fileName,
        target: fileName.startsWith(".") ? roomOf(resolve(path, "..", `${fileName}.ts`)) : undefined,
      }));
    });
}

const found = imports();

test("every file stands in a known room or on the roof", () => {
  const known = [...rooms, ...contracts, ...programs];
  const strangers = found.filter(({ room }) => !known.includes(room));
  expect(strangers.map(({ file }) => file)).toEqual([]);
  expect(found.length).toBeGreaterThan(300);
});

test("a room imports only rooms above it", () => {
  const downwards = found.filter(
    ({ room, target }) =>
      target !== undefined &&
      !contracts.includes(target) &&
      rooms.includes(room) &&
      !(rooms.includes(target) && rooms.indexOf(target) <= rooms.indexOf(room)),
  );
  expect(downwards.map(({ file, imported }) => `${file} imports ${imported}`)).toEqual([]);
});

test("the contracts with the editor stand on nothing but the events of runs", () => {
  const below = found.filter(
    ({ room, target }) => contracts.includes(room) && target !== undefined && !contracts.includes(target),
  );
  expect([...new Set(below.map(({ imported }) => imported))]).toEqual(["./training/events"]);
});

test("nothing needs an editor or a DOM", () => {
  const editors = found.filter(({ imported }) => imported === "vscode" || /^@vscode\//.test(imported));
  expect(editors).toEqual([]);
});
