import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { ComparedToken } from "../../protocol";
import { findTokenizerFiles } from "../../tokenizers/tokenizer-files";
import { vocabularyFiles } from "../../training/vocabulary/extend-vocabulary";
import { previewZipTie } from "../../training/vocabulary/zip-tie-preview";

type Neighbours = NonNullable<ComparedToken["neighbours"]>;

/** So many of a token's neighbours are shown. */
const shown = 5;
/** Tokens whose neighbours are kept: finding them reads the model's whole embedding. */
const kept = 200;

const reportSchema = z.object({ base: z.string() });
const cache = new Map<string, Neighbours>();

/**
 * The base model's tokens that an added token's first embedding is most like; none where the run that extended the
 * tokenizer, or a model beside its base tokenizer, is not there.
 * @param tokenizer of a run that extended a vocabulary
 * @param token as the vocabulary writes it
 * @throws the signal's reason
 */
export async function zipTieNeighbours(
  tokenizer: string,
  token: string,
  signal?: AbortSignal,
): Promise<Neighbours> {
  const key = `${tokenizer}\n${token}`;
  const known = cache.get(key);
  if (known) return known;
  let found: Neighbours;
  try {
    found = await find(tokenizer, token, signal);
  } catch {
    signal?.throwIfAborted();
    return [];
  }
  cache.set(key, found);
  const [oldest] = cache.keys();
  if (cache.size > kept && oldest !== undefined) cache.delete(oldest);
  return found;
}

async function find(tokenizer: string, token: string, signal: AbortSignal | undefined): Promise<Neighbours> {
  const files = await findTokenizerFiles(tokenizer);
  const report = join(dirname(files.tokenizer), "..", vocabularyFiles.report);
  const { base } = reportSchema.parse(JSON.parse(await readFile(report, "utf8")));
  const model = (await stat(base)).isDirectory() ? base : dirname(base);
  const [preview] = await previewZipTie([token], { tokenizer, model, neighbours: shown, signal });
  return preview?.neighbours ?? [];
}
