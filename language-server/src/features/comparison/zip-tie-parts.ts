import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { findTokenizerFiles } from "../../tokenizers/tokenizer-files";

/** Of an added token's id: ids of the base's tokens, and how much of each its embedding begins with. */
export type ZipTieParts = ReadonlyMap<number, readonly (readonly [id: number, weight: number])[]>;

const mapSchema = z.record(z.string().regex(/^\d+$/), z.array(z.tuple([z.int().nonnegative(), z.number()])));

const cache = new Map<string, { stamp: string; parts: ZipTieParts | undefined }>();

/**
 * The zip-tie map that lies beside an extended tokenizer; undefined where there is none. One that cannot be read is as good
 * as none here: it adds a line to a hover, and whoever trains with it is told what is wrong.
 */
export async function zipTieParts(tokenizer: string): Promise<ZipTieParts | undefined> {
  const files = await findTokenizerFiles(tokenizer).catch(() => undefined);
  if (!files) return undefined;
  const path = join(dirname(files.tokenizer), "zip-tie.json");
  const info = await stat(path).catch(() => undefined);
  if (!info) return undefined;
  const stamp = `${info.mtimeMs} ${info.size}`;
  const known = cache.get(path);
  if (known?.stamp === stamp) return known.parts;
  const parts = await read(path);
  cache.set(path, { stamp, parts });
  return parts;
}

async function read(path: string): Promise<ZipTieParts | undefined> {
  try {
    const map = mapSchema.parse(JSON.parse(await readFile(path, "utf8")));
    return new Map(Object.entries(map).map(([id, parts]) => [Number(id), parts]));
  } catch {
    return undefined;
  }
}
