import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { RowReader } from "../../../language-server/src/documents/json-rows";
import { type StreamedRow, streamRows } from "../../../language-server/src/documents/row-stream";
import { decodeUtf8 } from "../../../language-server/src/documents/utf8";
import { LineIndex } from "../../../language-server/src/text/line-index";

const folder = mkdtempSync(join(tmpdir(), "ziptie-rows-"));
afterAll(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const collect = async (path: string): Promise<StreamedRow[]> => {
  const rows: StreamedRow[] = [];
  for await (const row of streamRows(path)) rows.push(row);
  return rows;
};

let index = new LineIndex("");
const indexOf = (text: string): LineIndex => {
  if (index.text !== text) index = new LineIndex(text);
  return index;
};

describe("streamRows", () => {
  it("gives what reading the whole text gives, over blocks, line ends and characters of many bytes", async () => {
    const kinds = [
      '{"text": "字𠮷"}\n',
      '{"text": 1}\r\n',
      "\n",
      " \t\n",
      '{"text": "cut\n',
      '{"a": 1, "a": 2}\n',
    ];
    let text = "\ufeff";
    for (let row = 0; text.length < 1_300_000; row++) text += kinds[(row * row + (row >> 3)) % kinds.length];
    const reader = new RowReader(text);
    const lines = new LineIndex(text);
    const whole = [...reader.rows()].map((row, index) => ({
      kind: row.kind,
      line: lines.lineOf(row.start),
      rules: [...(index === 0 ? reader.findings : []), ...row.findings].map(({ rule }) => rule).join(),
    }));
    const streamed = (await collect(write("blocks.jsonl", text))).map(
      ({ row, text, firstLine, findings }) => ({
        kind: row.kind,
        line: firstLine + indexOf(text).lineOf(row.start),
        rules: findings.map(({ rule }) => rule).join(),
      }),
    );
    const listed = (rows: object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");
    expect(listed(streamed) === listed(whole)).toBe(true);
    expect(streamed.length).toBe(whole.length);
  }, 60_000);

  it("reads an array, with what is wrong around its rows", async () => {
    const rows = await collect(write("array.json", '\ufeff[\n{"a": 1},\n{"a": 2}'));
    expect(rows.map(({ row, findings }) => [row.kind, findings.map(({ rule }) => rule)])).toEqual([
      ["row", ["utf8-bom"]],
      ["row", []],
      ["end", ["json-syntax"]],
    ]);
  });

  it("has nothing to give of an empty file, and a mark's finding of one that holds only the mark", async () => {
    expect(await collect(write("empty.jsonl", ""))).toEqual([]);
    const [only] = await collect(write("mark.jsonl", "\ufeff"));
    expect(only?.findings.map(({ rule }) => rule)).toEqual(["utf8-bom"]);
  });

  it("stops when it is told to", async () => {
    const path = write("long.jsonl", '{"text": "a"}\n'.repeat(200_000));
    const stop = new AbortController();
    let seen = 0;
    const reading = async (): Promise<void> => {
      for await (const _row of streamRows(path, { signal: stop.signal })) if (++seen === 10) stop.abort();
    };
    await expect(reading()).rejects.toThrow(/abort/i);
    expect(seen).toBe(10);
  });

  it("tells how far it is", async () => {
    const path = write("progress.jsonl", '{"text": "a"}\n'.repeat(100_000));
    const told: number[] = [];
    for await (const _row of streamRows(path, { onProgress: (read, total) => told.push(read / total) }));
    expect(told.at(-1)).toBe(1);
    expect(told.length).toBeGreaterThan(1);
  });
});

describe("decodeUtf8", () => {
  const spans = (bytes: number[]): number[][] =>
    decodeUtf8(Uint8Array.from(bytes)).findings.map(({ span }) => [span.start, span.end]);

  it("finds each run of bytes that is no character", () => {
    expect(spans([0x61, 0xff, 0x62])).toEqual([[1, 2]]);
    expect(spans([0x61, 0xe5, 0xad, 0x62, 0xc0, 0xaf])).toEqual([
      [1, 2],
      [3, 5],
    ]);
    expect(spans([0xed, 0xa0, 0x80])).toEqual([[0, 3]]);
    expect(spans([0xf0, 0x9f, 0x98])).toEqual([[0, 1]]);
    expect(spans([0xf0, 0x9f, 0x98, 0x80, 0x80])).toEqual([[2, 3]]);
  });

  it("takes a U+FFFD that the file holds for a character", () => {
    expect(spans([...Buffer.from("a\ufffdb")])).toEqual([]);
    expect(spans([...Buffer.from("a\ufffdb"), 0xff])).toEqual([[3, 4]]);
  });

  it("keeps the byte order mark", () => {
    expect(decodeUtf8(Buffer.from("\ufeffa")).text).toBe("\ufeffa");
  });

  it("names the encoding of a file that is in another one", () => {
    const utf16 = Buffer.from('\ufeff{"text": "a"}', "utf16le");
    expect(decodeUtf8(utf16).findings.map(({ message }) => message)).toEqual([
      expect.stringContaining("UTF-16"),
    ]);
    const big5 = Uint8Array.from([0xa7, 0xda, 0xaa, 0xba, 0xac, 0x4f, 0xa4, 0x40, 0xad, 0xd3]);
    expect(decodeUtf8(big5).findings.map(({ message }) => message)).toEqual([
      expect.stringContaining("Big5"),
    ]);
  });
});
