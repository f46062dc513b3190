/** Sentences of a treebank in the format of Universal Dependencies, https://universaldependencies.org/format.html. */
export class ConlluReader {
  #text: string | undefined;
  #words = 0;
  /** The surface, for a sentence without `# text`. */
  #surface = "";
  /** The last word of a multiword token, whose own form stands on the token's line. */
  #insideUntil = 0;

  /**
   * Takes the next line.
   *
   * @returns a sentence that ends with it, or what is wrong with it
   */
  line(line: string): { text: string; words: number } | string | undefined {
    if (line.trim() === "") return this.end();
    if (line.startsWith("#")) {
      this.#text ??= /^#\s*text\s*=\s?(.*)$/.exec(line)?.[1];
      return undefined;
    }
    const columns = line.split("\t");
    const [id = "", form = ""] = columns;
    if (columns.length !== 10) return `a word has 10 columns separated by tabs, not ${columns.length}.`;
    // An empty node is not in the text.
    if (/^\d+\.\d+$/.test(id)) return undefined;
    const range = /^\d+-(\d+)$/.exec(id);
    if (!range && !/^\d+$/.test(id)) return `\`${id}\` is no id of a word.`;
    if (!range) this.#words++;
    if (range || Number(id) > this.#insideUntil) {
      this.#surface += form + (/(^|\|)SpaceAfter=No(\||$)/.test(columns[9] ?? "") ? "" : " ");
    }
    if (range) this.#insideUntil = Number(range[1]);
    return undefined;
  }

  /** The sentence that the end of the file ends. */
  end(): { text: string; words: number } | undefined {
    const sentence = { text: this.#text ?? this.#surface.trimEnd(), words: this.#words };
    this.#text = undefined;
    this.#words = 0;
    this.#surface = "";
    this.#insideUntil = 0;
    return sentence.words > 0 ? sentence : undefined;
  }
}
