import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type {
  ComparedCorpus,
  ComparedText,
  ComparedToken,
  ComparisonPanelInput,
  ComparisonPanelOutput,
  TokenizerFigures,
} from "../../../language-server/src/protocol";
import { launchChromium } from "../../workbench/chromium.mjs";
import { PanelPage, type PanelServer, servePanel } from "../panel-page";

let browser: Browser;
let server: PanelServer;
let panel: PanelPage<ComparisonPanelInput, ComparisonPanelOutput>;

beforeAll(async () => {
  [browser, server] = await Promise.all([launchChromium(), servePanel("comparison")]);
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await server?.close();
});
afterEach(async () => {
  expect(panel.errors).toEqual([]);
  await panel.close();
});

const tokenizers = [
  { name: "llama2", path: "/models/llama2/tokenizer.json" },
  { name: "gemma", path: "/models/gemma/tokenizer.json" },
];
const hex = (text: string) => Buffer.from(text).toString("hex").match(/../g)?.join(" ") ?? "";
const word = (text: string, id: number): ComparedToken => ({
  id,
  token: text.replaceAll(" ", "▁"),
  kind: "text",
  bytes: hex(text),
});
const bytesOf = (character: string): ComparedToken[] =>
  [...Buffer.from(character)].map((byte) => ({
    id: byte + 3,
    token: `<0x${byte.toString(16).toUpperCase()}>`,
    kind: "byte",
    bytes: byte.toString(16),
  }));
const figures = (change: Partial<TokenizerFigures> = {}): TokenizerFigures => ({
  characters: 1_000,
  bytes: 3_000,
  words: null,
  tokens: 2_000,
  byte_tokens: 600,
  unknown_tokens: 0,
  special_tokens: 0,
  ...change,
});

const comparedText: ComparedText = {
  results: [
    { ...(tokenizers[0] as (typeof tokenizers)[0]), figures: figures() },
    { ...(tokenizers[1] as (typeof tokenizers)[0]), figures: figures({ tokens: 800, byte_tokens: 2 }) },
    { name: "gone", path: "/gone", refused: "There is no tokenizer at /gone." },
  ],
  columns: [
    { text: "臺灣", tokens: [[...bytesOf("臺"), ...bytesOf("灣")], [word("臺灣", 5)]] },
    { text: "的", tokens: [[word("的", 6)], [word("的", 7)]] },
    { text: " the", tokens: [[word(" the", 8)], [word(" t", 9), word("he", 10)]] },
    { text: "\n", tokens: [[{ id: 13, token: "<0x0A>", kind: "byte", bytes: "0a" }], [word("\n", 108)]] },
  ],
  column_count: 9,
};
const origin = { name: "notes.md", selection: true };

const comparedCorpus: ComparedCorpus = {
  paths: ["/data/zh.conllu"],
  texts: 500,
  seconds: 1.5,
  results: tokenizers.map((tokenizer, index) => ({
    ...tokenizer,
    figures: figures({ words: 620, tokens: 2_000 - 900 * index }),
    worst: [
      { character: "𠮷", count: 12, tokens_per_character: 4, unknown: 0 },
      { character: "\t", count: 3, tokens_per_character: 3, unknown: 1 },
    ],
    coverage: index === 0 ? [0.02, 0.05, 0, 0.33, 0.1, 0.5, 0] : [0.1, 0.5, 0.1, 0.25, 0.05, 0, 0],
  })),
  csv: { figures: "tokenizer,tokens\r\n", characters: "tokenizer,character\r\n" },
};

async function open(options: Parameters<typeof PanelPage.open>[2] = {}) {
  panel = await PanelPage.open(browser, server, options);
  await panel.send({ type: "tokenizers", tokenizers, special_tokens: false });
}
async function openText(options: Parameters<typeof PanelPage.open>[2] = {}) {
  await open(options);
  await panel.send({ type: "text", origin, comparison: comparedText, first: 0 });
}
async function openCorpus(options: Parameters<typeof PanelPage.open>[2] = {}) {
  await open(options);
  await panel.send({ type: "reveal", part: "corpus" });
}
const role = (name: Parameters<typeof panel.page.getByRole>[0], label: string | RegExp) =>
  panel.page.getByRole(name, { name: label });
const isVisible = (text: string | RegExp) => panel.page.getByText(text).first().isVisible();

describe("states", () => {
  test("before the host answers, a skeleton stands where the tables will be", async () => {
    panel = await PanelPage.open(browser, server);
    expect(await panel.page.locator(".skeleton").count()).toBe(2);
    expect(await panel.sent()).toEqual([{ type: "ready" }]);
  });

  test("without tokenizers, choosing some is the one thing to do", async () => {
    panel = await PanelPage.open(browser, server);
    await panel.send({ type: "tokenizers", tokenizers: [], special_tokens: false });
    expect(await isVisible("No tokenizers chosen")).toBe(true);
    await panel.screenshot("empty");
    await role("button", "Choose Tokenizers…").click();
    expect(await panel.sent()).toContainEqual({ type: "chooseTokenizers" });
  });

  test("without a text, the panel says what would be here", async () => {
    await open();
    await panel.send({ type: "noText" });
    expect(await isVisible("No text to compare")).toBe(true);
  });

  test("a text that takes long says so, and the one before stays until then", async () => {
    await openText();
    await panel.send({ type: "textLoading", origin: { name: "long.txt", selection: false } });
    expect(await isVisible("notes.md, selection")).toBe(true);
    await panel.page.getByText("Tokenising long.txt…").waitFor();
    await panel.send({ type: "text", origin, comparison: comparedText, first: 0 });
    expect(await panel.page.getByText("Tokenising").count()).toBe(0);
  });

  test("a text that cannot be compared says why and can be tried again", async () => {
    await open();
    await panel.send({ type: "textFailed", origin, message: "The checks ended unexpectedly." });
    expect(await panel.page.getByRole("alert").innerText()).toContain("The checks ended unexpectedly.");
    await role("button", "Try Again").click();
    expect(await panel.sent()).toContainEqual({ type: "retryText" });
  });
});

describe("a text", () => {
  test("has figures for each tokenizer, or why there are none", async () => {
    await openText();
    const rows = await panel.page.locator(".figures tbody tr").allInnerTexts();
    const cells = rows.map((row) => row.split("\t").map((cell) => cell.trim()));
    expect(cells[0]).toEqual(["llama2", "2,000", "–", "0.50", "1.50", "30%", "0%"]);
    expect(cells[1]?.slice(0, 4)).toEqual(["gemma", "800", "–", "1.25"]);
    expect(cells[2]).toEqual(["gone", "There is no tokenizer at /gone."]);
  });

  test("is shown in stretches with each tokenizer's tokens beside", async () => {
    await openText();
    const headings = await panel.page.locator(".columns thead th").allInnerTexts();
    expect(headings).toEqual(["text", "llama2", "gemma"]);
    const texts = (row: number) =>
      panel.page.locator(`.columns tbody tr:nth-child(${row}) .token-text`).allInnerTexts();
    expect(await texts(1)).toEqual(["E8", "87", "BA", "E7", "81", "A3", "臺灣"]);
    expect(await texts(3)).toEqual(["·the", "·t", "he"]);
    expect(await texts(4)).toEqual(["↵", "↵"]);
    const title = await panel.page.locator(".token").first().getAttribute("title");
    expect(title).toBe("<0xE8> · id 235 · e8");
  });

  test("brings further stretches when it is asked to", async () => {
    await openText();
    expect(await isVisible("4 of 9 stretches")).toBe(true);
    await role("button", "Show More").click();
    expect(await panel.sent()).toContainEqual({ type: "moreColumns", first: 4 });
    const later = [...comparedText.columns, ...comparedText.columns.slice(1, 2)];
    await panel.send({ type: "text", origin, comparison: { ...comparedText, columns: later }, first: 4 });
    expect(await panel.page.locator(".columns tbody tr").count()).toBe(9);
    expect(await role("button", "Show More").isVisible()).toBe(false);
  });

  test("asks for special tokens, and shows ids, which it remembers", async () => {
    await openText();
    await role("checkbox", "Special tokens").click();
    expect(await panel.sent()).toContainEqual({ type: "specialTokens", on: true });
    expect(await panel.page.locator(".token-id").first().isVisible()).toBe(false);
    await role("checkbox", "Show ids").click();
    expect(await panel.page.locator(".token-id").first().isVisible()).toBe(true);
    expect(await panel.state()).toMatchObject({ ids: true });
  });
});

describe("a corpus", () => {
  test("is chosen from files or a folder", async () => {
    await openCorpus();
    expect(await isVisible("No corpus compared yet")).toBe(true);
    await role("button", "Choose Files…").click();
    await role("button", "Choose Folder…").click();
    expect(await panel.sent()).toEqual(
      expect.arrayContaining([
        { type: "chooseCorpus", kind: "file" },
        { type: "chooseCorpus", kind: "folder" },
      ]),
    );
  });

  test("shows how far it has been read, and can be given up", async () => {
    await openCorpus();
    await panel.send({ type: "corpusProgress", name: "zh.conllu", read: 0, total: 0, texts: 0 });
    expect(await isVisible("Loading the tokenizers…")).toBe(true);
    await panel.send({ type: "corpusProgress", name: "zh.conllu", read: 2e6, total: 8e6, texts: 1_234 });
    expect(await isVisible(/2 MB of 8 MB · 1,234 texts/)).toBe(true);
    expect(await role("progressbar", /zh\.conllu/).getAttribute("aria-valuenow")).toBe("25");
    await panel.screenshot("corpus-progress");
    await role("button", "Cancel").click();
    expect(await panel.sent()).toContainEqual({ type: "cancelCorpus" });
    await panel.send({ type: "corpusCancelled", name: "zh.conllu" });
    expect(await isVisible("Cancelled")).toBe(true);
    await role("button", "Compare Again").click();
    expect(await panel.sent()).toContainEqual({ type: "repeatCorpus" });
  });

  test("that cannot be read says why", async () => {
    await openCorpus();
    await panel.send({ type: "corpusFailed", name: "zh.conllu", message: "zh.conllu:3: ten columns." });
    expect(await panel.page.getByRole("alert").innerText()).toContain("zh.conllu:3: ten columns.");
  });

  test("has figures, a chart for each tokenizer and the characters covered worst", async () => {
    await openCorpus();
    await panel.send({ type: "corpus", name: "zh.conllu", comparison: comparedCorpus });
    const [first] = await panel.page.locator(".corpus .figures tbody tr").allInnerTexts();
    expect(first?.split("\t").map((cell) => cell.trim())).toContain("0.31");
    expect(await panel.page.locator(".chart canvas").count()).toBe(2);
    expect(await role("img", "llama2: 40% in one token or less").count()).toBe(1);
    const worst = await panel.page.locator(".worst-table").first().locator("tbody th").allInnerTexts();
    expect(worst).toEqual(["𠮷", "U+0009"]);
  });

  test("is copied and saved as tables", async () => {
    await openCorpus();
    await panel.send({ type: "corpus", name: "zh.conllu", comparison: comparedCorpus });
    await role("button", "Copy CSV").click();
    await role("button", "Save Figures…").click();
    await role("button", "Save Characters…").click();
    expect(await panel.sent()).toEqual(
      expect.arrayContaining([
        { type: "copy", text: comparedCorpus.csv.figures },
        { type: "saveCsv", table: "figures" },
        { type: "saveCsv", table: "characters" },
      ]),
    );
  });
});

describe("looks", () => {
  test.each(["light", "dark", "high-contrast"] as const)("%s", async (theme) => {
    await openText({ theme });
    await panel.screenshot(`text-${theme}`);
    await panel.send({ type: "reveal", part: "corpus" });
    await panel.send({ type: "corpus", name: "zh.conllu", comparison: comparedCorpus });
    await panel.screenshot(`corpus-${theme}`);
  });

  test("nothing is cut off in a narrow panel at twice the size", async () => {
    await openText({ width: 480, height: 800, deviceScaleFactor: 2 });
    const overflow = await panel.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBeLessThanOrEqual(0);
  });

  test("the tabs are reached by the arrow keys", async () => {
    await openText();
    await role("tab", "Text").focus();
    await panel.page.keyboard.press("ArrowRight");
    expect(await role("tab", "Corpus").getAttribute("aria-selected")).toBe("true");
    expect(await panel.state()).toMatchObject({ part: "corpus" });
  });
});

test("speaks Traditional Chinese where the editor does", async () => {
  const messages = JSON.parse(readFileSync("l10n/bundle.l10n.zh-tw.json", "utf8"));
  const translated = await servePanel("comparison", messages, "zh-TW");
  try {
    panel = await PanelPage.open(browser, translated);
    await panel.send({ type: "tokenizers", tokenizers, special_tokens: false });
    await panel.send({ type: "text", origin, comparison: comparedText, first: 0 });
    expect(await panel.page.locator("h1").innerText()).toBe(messages["Compare Tokenizers"]);
    await panel.screenshot("chinese");
  } finally {
    await translated.close();
  }
});
