import type { RunSummary } from "../../../language-server/src/protocol";

/** What the panel as a whole is showing; `waiting` is live before the first point. */
export type PanelState = "loading" | "empty" | "waiting" | "live" | "ended" | "failed";

export function panelState(input: {
  answered: boolean;
  failure: string | undefined;
  summary: RunSummary | undefined;
  isEmpty: boolean;
}): PanelState {
  if (input.failure !== undefined) return "failed";
  if (!input.answered) return "loading";
  if (input.summary === undefined) return "empty";
  switch (input.summary.state) {
    case "preparing":
    case "running":
      return input.isEmpty ? "waiting" : "live";
    case "failed":
      return "failed";
    default:
      return "ended";
  }
}
