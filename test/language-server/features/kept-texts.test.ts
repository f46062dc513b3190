import { expect, test, vi } from "vitest";
import { ComparedTextVersion } from "../../../language-server/src/features/comparison/compared-text";
import { KeptTexts } from "../../../language-server/src/features/comparison/kept-texts";

function watched(version: string) {
  const text = new ComparedTextVersion(version, "");
  return { text, drop: vi.spyOn(text, "drop") };
}

/** An answer that comes when it is told to. */
function later() {
  let come = () => {};
  const answer = new Promise<void>((resolve) => {
    come = resolve;
  });
  return { answer: () => answer, come };
}

test("a text that is replaced is given up when the last of those who wait for it is gone", async () => {
  const kept = new KeptTexts(2);
  const [old, fresh] = [watched("1"), watched("2")];
  expect(kept.get("a", "1", () => old.text)).toBe(old.text);
  const [one, other] = [later(), later()];
  const waiting = [kept.waitFor(old.text, one.answer), kept.waitFor(old.text, other.answer)] as const;
  expect(kept.get("a", "2", () => fresh.text)).toBe(fresh.text);
  one.come();
  await waiting[0];
  expect(old.drop).not.toHaveBeenCalled();
  other.come();
  await waiting[1];
  expect(old.drop).toHaveBeenCalledOnce();
  await kept.waitFor(fresh.text, async () => {});
  expect(fresh.drop).not.toHaveBeenCalled();
});

test("the text that was asked for longest ago makes room, and at once where nobody waits for it", () => {
  const kept = new KeptTexts(2);
  const texts = ["a", "b", "c"].map(watched);
  const put = (index: number) =>
    kept.get(`slot ${index}`, "1", () => texts[index]?.text as ComparedTextVersion);
  put(0);
  put(1);
  expect(kept.get("slot 0", "a", undefined)).toBe(texts[0]?.text);
  put(2);
  expect(texts.map(({ drop }) => drop.mock.calls.length)).toEqual([0, 1, 0]);
  expect(kept.get("slot 1", "b", undefined)).toBeUndefined();
});
