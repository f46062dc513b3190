/** Translations by English message, as the host put them on the page; empty for English. */
const messages: Record<string, string> = JSON.parse(document.body.dataset.messages ?? "{}");

/** The message in the editor's language, with `{0}`, `{1}` … replaced. Keys are those of `l10n/bundle.l10n.*.json`. */
export function t(message: string, ...args: (string | number)[]): string {
  return (messages[message] ?? message).replace(/\{(\d+)\}/g, (place, index) => String(args[index] ?? place));
}

/** BCP 47; the editor's display language. */
export const locale = document.documentElement.lang || "en";
