import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { readSafetensorsHeader } from "../../../language-server/src/training/safetensors-header";
import { PackCounter, readShard, ShardWriter } from "../../../language-server/src/training/shards";
import { temporaryDirectory } from "./fake-engine";

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
  return () => rmSync(directory, { recursive: true, force: true });
});

const row = (...ids: number[]) =>
  [Uint32Array.from(ids), Uint8Array.from(ids, (_, t) => (t === 0 ? 0 : 1))] as const;

async function write(
  rows: (readonly [Uint32Array, Uint8Array])[],
  limit?: number,
  packLength: number | null = null,
) {
  const writer = new ShardWriter(directory, "train", packLength, limit);
  for (const [ids, mask] of rows) await writer.add(ids, mask);
  return writer.finish();
}

describe("token shards", () => {
  test("are read back as they were written", async () => {
    const [shard] = await write([row(1, 2, 3), row(), row(0xffffffff)]);
    if (shard === undefined) throw new Error("no shard");
    expect(shard).toMatchObject({ rows: 3, tokens: 4 });
    const read = await readShard(shard.path);
    expect([...read.inputIds]).toEqual([1, 2, 3, 0xffffffff]);
    expect([...read.lossMask]).toEqual([0, 1, 1, 0]);
    expect(read.rowOffsets).toEqual([0, 3, 3, 4]);
    expect(read.packOffsets).toBeNull();
  });

  test("packed, the rows stand in the order of their packs", async () => {
    const rows = [row(1, 2, 3), row(4, 5), row(6, 7, 8), row(9)];
    const [shard] = await write(rows, undefined, 4);
    if (shard === undefined) throw new Error("no shard");
    expect(shard).toMatchObject({ rows: 4, packs: 3, tokens: 9 });
    const read = await readShard(shard.path);
    expect([...read.inputIds]).toEqual([1, 2, 3, 6, 7, 8, 9, 4, 5]);
    expect([...read.lossMask]).toEqual([0, 1, 1, 0, 1, 1, 0, 0, 1]);
    expect(read.rowOffsets).toEqual([0, 3, 6, 7, 9]);
    expect(read.packOffsets).toEqual([0, 1, 3, 4]);
  });

  test("a row is packed by what is left of it after the cut, and stored whole", async () => {
    const [shard] = await write([row(1, 2, 3, 4, 5, 6), row(7, 8)], undefined, 4);
    const read = await readShard(shard?.path ?? "");
    expect(read.rowOffsets).toEqual([0, 6, 8]);
    expect(read.packOffsets).toEqual([0, 1, 2]);
  });

  test("packs are counted as they are written, shard by shard", async () => {
    const rows = Array.from({ length: 200 }, (_, i) => row(...Array(1 + ((i * 7919) % 23)).keys()));
    const shards = await write(rows, 100, 20);
    const counter = new PackCounter(20, 100);
    for (const [ids] of rows) counter.add(ids.length);
    expect(shards.length).toBeGreaterThan(10);
    expect(counter.finish()).toBe(shards.reduce((sum, { packs }) => sum + packs, 0));
  });

  test("are safetensors: data at multiples of eight, nothing between and nothing after", async () => {
    const [shard] = await write([row(1, 2, 3)]);
    const path = shard?.path ?? "";
    const tensors = await readSafetensorsHeader(path);
    expect(Object.fromEntries(tensors)).toMatchObject({
      row_offsets: { dtype: "U64", shape: [2] },
      input_ids: { dtype: "U32", shape: [3] },
      loss_mask: { dtype: "U8", shape: [3] },
    });
    const ends = [...tensors.values()].map(({ begin, end }) => [begin, end]);
    expect((ends[0]?.[0] ?? 1) % 8).toBe(0);
    expect(ends[1]?.[0]).toBe(ends[0]?.[1]);
    expect(ends[2]).toEqual([ends[1]?.[1], readFileSync(path).length]);
  });

  test("a shard is closed at its limit, between rows; a longer row has one to itself", async () => {
    const shards = await write([row(1, 2), row(3, 4), row(5), row(6, 7, 8, 9, 10, 11), row(12)], 4);
    expect(shards.map(({ rows, tokens }) => [rows, tokens])).toEqual([
      [2, 4],
      [1, 1],
      [1, 6],
      [1, 1],
    ]);
    expect(readdirSync(directory)).toEqual([1, 2, 3, 4].map((n) => `train-0000${n}.safetensors`));
    expect([...(await readShard(shards[2]?.path ?? "")).inputIds]).toEqual([6, 7, 8, 9, 10, 11]);
  });

  test("the hash is that of the file", async () => {
    const [shard] = await write([row(1, 2, 3)]);
    expect(shard?.sha256).toBe(
      createHash("sha256")
        .update(readFileSync(shard?.path ?? ""))
        .digest("hex"),
    );
  });

  test("no rows make no shard", async () => {
    expect(await write([])).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe("a broken safetensors file is refused by name", () => {
  test("truncated data", async () => {
    const [shard] = await write([row(1, 2, 3)]);
    const path = shard?.path ?? "";
    truncateSync(path, readFileSync(path).length - 1);
    await expect(readSafetensorsHeader(path)).rejects.toThrow(/truncated: tensor loss_mask ends at byte/);
  });

  test.each([
    ["empty", Buffer.alloc(0)],
    ["a header longer than the file", Buffer.from([255, 255, 0, 0, 0, 0, 0, 0, 123, 125])],
    ["an endless header", Buffer.from([255, 255, 255, 255, 255, 255, 255, 255, 123, 125])],
    ["no JSON", Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("nope")])],
  ])("%s", async (_, bytes) => {
    const path = join(directory, "model.safetensors");
    writeFileSync(path, bytes);
    await expect(readSafetensorsHeader(path)).rejects.toThrow(/model\.safetensors is no safetensors file/);
  });

  test("a tensor whose shape does not fit its bytes", async () => {
    const header = JSON.stringify({ w: { dtype: "F32", shape: [2, 2], data_offsets: [0, 8] } });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const path = join(directory, "model.safetensors");
    writeFileSync(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(8)]));
    await expect(readSafetensorsHeader(path)).rejects.toThrow(
      /tensor w of shape \[2, 2\] does not fit its 8 bytes/,
    );
  });
});
