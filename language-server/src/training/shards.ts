import { createHash } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packRows } from "./packing";
import { Refused } from "./refused";
import { readSafetensorsHeader, safetensorsHeader } from "./safetensors-header";

/** A shard is closed once it has so many tokens: 5 bytes each, so preparation needs some 20 MB however large the data is. */
const tokensPerShard = 1 << 22;

/** A shard that is complete on the disk. */
export interface WrittenShard {
  path: string;
  rows: number;
  /** As many as rows, when rows are not packed. */
  packs: number;
  tokens: number;
  sha256: string;
}

/** Whether a shard is closed before a row of so many tokens. */
function closesBefore(tokens: number, next: number, limit: number): boolean {
  return tokens > 0 && tokens + next > limit;
}

/**
 * Writes rows of tokens into shards `<name>-00001.safetensors`, `<name>-00002.safetensors`, …: `input_ids` u32 [tokens],
 * `loss_mask` u8 [tokens], `row_offsets` u64 [rows + 1]. A file has its name only once it is complete and synced.
 *
 * Packed, the rows of each shard are put into packs of up to `packLength` tokens, counted after the cut, and written in the
 * order of packs; `pack_offsets` u64 [packs + 1] says which rows each one has.
 */
export class ShardWriter {
  readonly shards: WrittenShard[] = [];
  #ids: Uint32Array;
  #mask: Uint8Array;
  #offsets: number[] = [0];
  #tokens = 0;

  constructor(
    private readonly directory: string,
    private readonly name: string,
    private readonly packLength: number | null = null,
    private readonly limit = tokensPerShard,
  ) {
    this.#ids = new Uint32Array(Math.min(limit, 1 << 16));
    this.#mask = new Uint8Array(this.#ids.length);
  }

  /** @param lossMask one byte a token; 1 where predicting that token carries loss */
  async add(ids: Uint32Array, lossMask: Uint8Array): Promise<void> {
    if (ids.length !== lossMask.length) throw new RangeError("input_ids and loss_mask differ in length");
    if (closesBefore(this.#tokens, ids.length, this.limit)) await this.#flush();
    this.#reserve(this.#tokens + ids.length);
    this.#ids.set(ids, this.#tokens);
    this.#mask.set(lossMask, this.#tokens);
    this.#tokens += ids.length;
    this.#offsets.push(this.#tokens);
  }

  /** Writes what is left. */
  async finish(): Promise<WrittenShard[]> {
    if (this.#offsets.length > 1) await this.#flush();
    return this.shards;
  }

  #reserve(tokens: number): void {
    if (tokens <= this.#ids.length) return;
    const capacity = Math.max(tokens, Math.min(this.limit, this.#ids.length * 2));
    const ids = new Uint32Array(capacity);
    ids.set(this.#ids.subarray(0, this.#tokens));
    const mask = new Uint8Array(capacity);
    mask.set(this.#mask.subarray(0, this.#tokens));
    this.#ids = ids;
    this.#mask = mask;
  }

  async #flush(): Promise<void> {
    const number = String(this.shards.length + 1).padStart(5, "0");
    const path = join(this.directory, `${this.name}-${number}.safetensors`);
    const rows = this.#offsets.length - 1;
    const packs = this.packLength === null ? null : this.#pack(this.packLength);
    // Eight-byte elements first, so that each tensor stands at a multiple of its element's size.
    const tensors = [
      {
        name: "row_offsets",
        dtype: "U64",
        shape: [rows + 1],
        bytes: bytesOf(BigUint64Array.from(this.#offsets, BigInt)),
      },
      ...(packs === null
        ? []
        : [
            {
              name: "pack_offsets",
              dtype: "U64",
              shape: [packs.length],
              bytes: bytesOf(BigUint64Array.from(packs, BigInt)),
            },
          ]),
      {
        name: "input_ids",
        dtype: "U32",
        shape: [this.#tokens],
        bytes: bytesOf(this.#ids.subarray(0, this.#tokens)),
      },
      { name: "loss_mask", dtype: "U8", shape: [this.#tokens], bytes: this.#mask.subarray(0, this.#tokens) },
    ];
    const sha256 = await writeAside(path, [safetensorsHeader(tensors), ...tensors.map(({ bytes }) => bytes)]);
    const count = packs === null ? rows : packs.length - 1;
    this.shards.push({ path, rows, packs: count, tokens: this.#tokens, sha256 });
    this.#tokens = 0;
    this.#offsets = [0];
  }

  /** Puts the rows into the order of packs. @returns where each pack begins among them, and their number */
  #pack(packLength: number): number[] {
    const packs = packRows(cutLengths(this.#offsets, packLength), packLength);
    const ids = new Uint32Array(this.#ids.length);
    const mask = new Uint8Array(ids.length);
    const offsets = [0];
    const packOffsets = [0];
    let at = 0;
    for (const pack of packs) {
      for (const row of pack) {
        const [begin, end] = [this.#offsets[row], this.#offsets[row + 1]];
        ids.set(this.#ids.subarray(begin, end), at);
        mask.set(this.#mask.subarray(begin, end), at);
        at += (end as number) - (begin as number);
        offsets.push(at);
      }
      packOffsets.push(offsets.length - 1);
    }
    this.#ids = ids;
    this.#mask = mask;
    this.#offsets = offsets;
    return packOffsets;
  }
}

function cutLengths(offsets: readonly number[], most: number): number[] {
  return offsets.slice(1).map((end, row) => Math.min(end - (offsets[row] as number), most));
}

/** Counts the packs that a `ShardWriter` would write. */
export class PackCounter {
  #lengths: number[] = [];
  #tokens = 0;
  #packs = 0;

  constructor(
    private readonly packLength: number,
    private readonly limit = tokensPerShard,
  ) {}

  /** @param tokens of the whole row */
  add(tokens: number): void {
    if (closesBefore(this.#tokens, tokens, this.limit)) this.finish();
    this.#tokens += tokens;
    this.#lengths.push(Math.min(tokens, this.packLength));
  }

  /** @returns packs of all rows */
  finish(): number {
    this.#packs += packRows(this.#lengths, this.packLength).length;
    this.#lengths = [];
    this.#tokens = 0;
    return this.#packs;
  }
}

function bytesOf(array: Uint32Array | BigUint64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Writes a file beside its name, syncs it and its directory, and only then gives it the name. @returns its SHA-256 */
export async function writeAside(path: string, parts: Iterable<Uint8Array>): Promise<string> {
  const aside = join(dirname(path), `.${path.slice(dirname(path).length + 1)}.tmp`);
  const hash = createHash("sha256");
  try {
    const file = await open(aside, "w");
    try {
      for (const part of parts) {
        hash.update(part);
        for (let done = 0; done < part.length; ) {
          done += (await file.write(part, done, part.length - done)).bytesWritten;
        }
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
  return hash.digest("hex");
}

export interface Shard {
  inputIds: Uint32Array;
  lossMask: Uint8Array;
  /** Row r is `[rowOffsets[r], rowOffsets[r + 1])`. */
  rowOffsets: number[];
  /** Pack p has the rows `[packOffsets[p], packOffsets[p + 1])`; null: not packed. */
  packOffsets: number[] | null;
}

/** Reads a whole shard. @throws Refused when it is not one */
export async function readShard(path: string): Promise<Shard> {
  const tensors = await readSafetensorsHeader(path);
  const file = await readFile(path);
  const part = (name: string, dtype: string): Uint8Array => {
    const tensor = tensors.get(name);
    if (tensor?.dtype !== dtype || tensor.shape.length !== 1) {
      throw new Refused(`${path} is no token shard: it has no ${name} of type ${dtype} and one dimension.`);
    }
    // Copied, because a view would have to stand at a multiple of its element's size.
    return Uint8Array.prototype.slice.call(file, tensor.begin, tensor.end);
  };
  const inputIds = new Uint32Array(part("input_ids", "U32").buffer);
  const lossMask = part("loss_mask", "U8");
  const rowOffsets = Array.from(new BigUint64Array(part("row_offsets", "U64").buffer), Number);
  const packOffsets = tensors.has("pack_offsets")
    ? Array.from(new BigUint64Array(part("pack_offsets", "U64").buffer), Number)
    : null;
  const isAscending = rowOffsets.every((offset, i) => i === 0 || offset >= (rowOffsets[i - 1] ?? 0));
  if (
    inputIds.length !== lossMask.length ||
    rowOffsets[0] !== 0 ||
    rowOffsets.at(-1) !== inputIds.length ||
    !isAscending
  ) {
    throw new Refused(
      `${path} is a broken token shard: its row_offsets do not cover its ${inputIds.length} tokens.`,
    );
  }
  return { inputIds, lossMask, rowOffsets, packOffsets };
}
