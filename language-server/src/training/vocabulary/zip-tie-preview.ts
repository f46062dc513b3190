import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { readBaseTokenizer } from "../../tokenizers/extension/base-tokenizer";
import { TokenizerError } from "../../tokenizers/tokenizer-error";
import { findTokenizerFiles } from "../../tokenizers/tokenizer-files";
import { readModelFiles } from "../model-files";
import { Refused } from "../refused";
import { EmbeddingRows } from "./embedding-rows";

/** How a token that was added begins. */
export interface ZipTiePreview {
  id: number;
  /** As the vocabulary writes it. */
  token: string;
  /** Tokens of the base whose weighted sum it begins as. */
  base: { id: number; token: string; weight: number }[];
  /** The model's tokens whose embeddings are most like that sum, the likest first. */
  neighbours: { id: number; token: string; cosine: number }[];
}

const mapSchema = z.record(
  z.string().regex(/^\d+$/),
  z.array(z.tuple([z.number().int().nonnegative(), z.number()])).min(1),
);

export interface PreviewOptions {
  /** An extended tokenizer with its zip-tie map beside it. */
  readonly tokenizer: string;
  /** The base model's directory; without one there are no neighbours. */
  readonly model: string | undefined;
  /** So many neighbours of each. */
  readonly neighbours: number;
  /** Looking for neighbours reads the model's whole embedding. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * @param tokens texts as the vocabulary writes them or as people do, or ids
 * @throws Refused saying which token is none, or what cannot be read; the signal's reason
 */
export async function previewZipTie(
  tokens: readonly string[],
  { tokenizer, model, neighbours, signal }: PreviewOptions,
): Promise<ZipTiePreview[]> {
  const { vocabulary, toVocabulary, path } = await readTokenizer(tokenizer);
  const map = await readMap(join(dirname(path), "zip-tie.json"));
  const name = (id: number) => vocabulary.tokens.get(id) ?? String(id);
  const previews = tokens.map((text): ZipTiePreview => {
    const id = vocabulary.ids.get(text) ?? vocabulary.ids.get(toVocabulary(text)) ?? asId(text);
    const parts = id === undefined ? undefined : map[String(id)];
    if (id === undefined || parts === undefined) {
      throw new Refused(
        id === undefined || !vocabulary.tokens.has(id)
          ? `${path} has no token ${JSON.stringify(text)}.`
          : `${JSON.stringify(text)} is a token of the base: it has its own embedding.`,
      );
    }
    const base = parts.map(([part, weight]) => ({ id: part, token: name(part), weight }));
    return { id, token: name(id), base, neighbours: [] };
  });
  if (model === undefined) return previews;
  const rows = await EmbeddingRows.open(
    (await readModelFiles(model)).files.filter((file) => file.endsWith(".safetensors")),
  );
  try {
    await findNeighbours(previews, rows, neighbours, name, signal);
  } finally {
    await rows.close();
  }
  return previews;
}

async function readTokenizer(path: string) {
  try {
    const { tokenizer } = await findTokenizerFiles(path);
    return readBaseTokenizer(await readFile(tokenizer, "utf8"), tokenizer);
  } catch (error) {
    throw error instanceof TokenizerError ? new Refused(error.message) : error;
  }
}

async function readMap(path: string): Promise<z.infer<typeof mapSchema>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Refused(`There is no zip-tie map beside the tokenizer: ${(error as Error).message}`);
  }
  try {
    return mapSchema.parse(JSON.parse(text));
  } catch {
    throw new Refused(`${path} is no zip-tie map: {"new_id": [[base_id, weight], …]}.`);
  }
}

function asId(text: string): number | undefined {
  return /^\d{1,8}$/.test(text) ? Number(text) : undefined;
}

/** Bytes of the embedding that are held at once. */
const blockBytes = 1 << 24;

async function findNeighbours(
  previews: readonly ZipTiePreview[],
  rows: EmbeddingRows,
  wanted: number,
  name: (id: number) => string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { width } = rows;
  const sums: Float64Array[] = [];
  for (const { base, token } of previews) {
    const sum = new Float64Array(width);
    for (const { id, weight } of base) {
      if (id >= rows.rows) {
        throw new Refused(
          `${token} is tied from token ${id}, but the model's embedding has ${rows.rows} rows. Name the model that the original tokenizer is of.`,
        );
      }
      const row = await rows.read(id, 1);
      for (let index = 0; index < width; index++) (sum[index] as number) += weight * (row[index] as number);
    }
    sums.push(normalised(sum));
  }
  const block = Math.max(1, Math.floor(blockBytes / (4 * width)));
  for (let first = 0; first < rows.rows; first += block) {
    const count = Math.min(block, rows.rows - first);
    signal?.throwIfAborted();
    const values = await rows.read(first, count);
    for (let row = 0; row < count; row++) {
      const vector = normalised(Float64Array.from(values.subarray(row * width, (row + 1) * width)));
      for (const [index, preview] of previews.entries()) {
        let cosine = 0;
        const sum = sums[index] as Float64Array;
        for (let at = 0; at < width; at++) cosine += (sum[at] as number) * (vector[at] as number);
        keepBest(preview.neighbours, { id: first + row, token: name(first + row), cosine }, wanted);
      }
    }
  }
}

function normalised(vector: Float64Array): Float64Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  return length > 0 ? vector.map((value) => value / length) : vector;
}

function keepBest(
  best: ZipTiePreview["neighbours"],
  candidate: ZipTiePreview["neighbours"][number],
  wanted: number,
) {
  const last = best.at(-1);
  if (best.length >= wanted && last !== undefined && candidate.cosine <= last.cosine) return;
  const at = best.findIndex(({ cosine }) => cosine < candidate.cosine);
  best.splice(at < 0 ? best.length : at, 0, candidate);
  best.length = Math.min(best.length, wanted);
}
