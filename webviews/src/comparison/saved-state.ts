/** What the page remembers over a reload; the host has the rest. */
export interface SavedState {
  part: "text" | "corpus";
  ids: boolean;
}

export function readState(value: unknown): SavedState {
  const state = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  return { part: state.part === "corpus" ? "corpus" : "text", ids: state.ids === true };
}
