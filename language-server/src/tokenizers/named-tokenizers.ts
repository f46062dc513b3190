import { characterTokenizer, characterTokenizerName } from "./character-encoder";
import { type LoadedTokenizer, loadTokenizer } from "./tokenizer";

/** A tokenizer as the person calls it. */
export interface NamedTokenizer {
  readonly name: string;
  readonly tokenizer: LoadedTokenizer;
}

/**
 * Loads tokenizers by the names that a person gives them: paths, packages (see `loadTokenizer`), and `characters`. A name
 * that is given twice counts once.
 *
 * @throws TokenizerError
 */
export async function loadNamed(names: readonly string[], from?: string): Promise<NamedTokenizer[]> {
  const loaded: NamedTokenizer[] = [];
  for (const name of new Set(names)) {
    const tokenizer =
      name === characterTokenizerName ? characterTokenizer() : await loadTokenizer(name, from);
    loaded.push({ name, tokenizer });
  }
  return loaded;
}
