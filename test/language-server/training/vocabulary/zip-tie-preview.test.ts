import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { zipTieNeighbours } from "../../../../language-server/src/features/comparison/zip-tie-neighbours";
import { previewZipTie } from "../../../../language-server/src/training/vocabulary/zip-tie-preview";
import { sharedData } from "../../shared-data";

const model = join(sharedData ?? "", "models", "stories260k");

describe.skipIf(sharedData === undefined)("the preview of an added token (needs ../shared/data)", () => {
  let tokenizer: string;
  beforeEach(() => {
    tokenizer = mkdtempSync(join(tmpdir(), "ziptie-preview-"));
    const json = JSON.parse(readFileSync(join(model, "tokenizer.json"), "utf8"));
    json.model.vocab.物 = 512;
    json.model.vocab.物理 = 513;
    writeFileSync(join(tokenizer, "tokenizer.json"), JSON.stringify(json));
    writeFileSync(join(tokenizer, "zip-tie.json"), '{"512": [[300, 1]], "513": [[300, 0.75], [400, 0.25]]}');
  });
  afterEach(() => rmSync(tokenizer, { recursive: true, force: true }));

  it("names the tokens it replaces, and those of the model that are most like their sum", async () => {
    const [one, two] = await previewZipTie(["物", "513"], { tokenizer, model, neighbours: 3 });
    expect(one).toMatchObject({ id: 512, token: "物", base: [{ id: 300, weight: 1 }] });
    expect(one?.neighbours).toHaveLength(3);
    // A token tied from one alone is that one.
    expect(one?.neighbours[0]).toMatchObject({ id: 300, token: one?.base[0]?.token });
    expect(one?.neighbours[0]?.cosine).toBeCloseTo(1, 12);
    expect(two).toMatchObject({ id: 513, token: "物理" });
    expect(two?.neighbours[0]?.id).toBe(300);
    expect(two?.neighbours[0]?.cosine).toBeLessThan(1);
    const cosines = two?.neighbours.map(({ cosine }) => cosine) ?? [];
    expect(cosines).toEqual([...cosines].sort((a, b) => b - a));
  });

  it("reads no more of the model when it is given up, and can be asked again", async () => {
    const report = join(mkdtempSync(join(tmpdir(), "ziptie-run-")), "report.json");
    onTestFinished(() => rmSync(dirname(report), { recursive: true, force: true }));
    writeFileSync(report, JSON.stringify({ base: model }));
    const extended = join(dirname(report), "tokenizer");
    cpSync(tokenizer, extended, { recursive: true });
    const controller = new AbortController();
    const scan = previewZipTie(["物"], { tokenizer, model, neighbours: 1, signal: controller.signal });
    const hover = zipTieNeighbours(extended, "物", controller.signal);
    controller.abort(new Error("given up"));
    await expect(scan).rejects.toThrow("given up");
    await expect(hover).rejects.toThrow("given up");
    expect(await zipTieNeighbours(extended, "物")).toHaveLength(5);
  });

  it("needs no model for the tokens alone", async () => {
    const [one] = await previewZipTie(["物理"], { tokenizer, model: undefined, neighbours: 5 });
    expect(one?.base.map(({ id, weight }) => [id, weight])).toEqual([
      [300, 0.75],
      [400, 0.25],
    ]);
    expect(one?.neighbours).toEqual([]);
  });

  it.each([
    ["龍", 'has no token "龍"'],
    ["9999", 'has no token "9999"'],
    ["</s>", "is a token of the base"],
  ])("refuses %s", async (token, reason) => {
    await expect(previewZipTie([token], { tokenizer, model, neighbours: 1 })).rejects.toThrow(reason);
  });

  it("refuses a map that is none, and one of another base", async () => {
    writeFileSync(join(tokenizer, "zip-tie.json"), '{"512": [[5000, 1]]}');
    await expect(previewZipTie(["物"], { tokenizer, model, neighbours: 1 })).rejects.toThrow("has 512 rows");
    writeFileSync(join(tokenizer, "zip-tie.json"), '{"512": 7}');
    await expect(previewZipTie(["物"], { tokenizer, model, neighbours: 1 })).rejects.toThrow(
      "is no zip-tie map",
    );
    rmSync(join(tokenizer, "zip-tie.json"));
    copyFileSync(join(model, "tokenizer.json"), join(tokenizer, "tokenizer.json"));
    await expect(previewZipTie(["物"], { tokenizer, model, neighbours: 1 })).rejects.toThrow(
      "no zip-tie map beside",
    );
  });
});
