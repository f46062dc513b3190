import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { corpusFiles } from "../../../../language-server/src/training/vocabulary/corpus-files";
import { temporaryDirectory } from "../fake-engine";

let directory: string;
let corpus: string;
beforeEach(() => {
  directory = temporaryDirectory();
  corpus = join(directory, "corpus");
  mkdirSync(corpus);
  return () => rmSync(directory, { recursive: true, force: true });
});

const files = () =>
  corpusFiles([{ path: corpus, sample: null }], directory, () => {}, new AbortController().signal);

test("a folder's plain texts are read as they are, without those that begin with a dot", async () => {
  for (const name of ["b.txt", "a.txt", ".c.txt", ".DS_Store"]) writeFileSync(join(corpus, name), "text\n");
  expect(await files()).toEqual([
    { path: join(corpus, "a.txt"), format: "text" },
    { path: join(corpus, "b.txt"), format: "text" },
  ]);
});

test.each([[[]], [[".c.txt"]]])("a folder that holds %j has nothing to read", async (names) => {
  for (const name of names) writeFileSync(join(corpus, name), "text\n");
  await expect(files()).rejects.toThrow(`There is nothing to read in ${corpus}`);
});
