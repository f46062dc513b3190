/** What the page remembers through a reload of the window. The series are the host's and are never part of it. */
export interface SavedState {
  primary: string | undefined;
  overlay: string[];
  view: [number, number] | undefined;
  /** Weight of the past in the smoothed loss, 0 to 0.99. */
  smoothing: number;
  logarithmic: boolean;
}

export const initialState: SavedState = {
  primary: undefined,
  overlay: [],
  view: undefined,
  smoothing: 0.9,
  logarithmic: false,
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

/** Reads what an earlier version of the page may have written; anything unexpected falls back to the initial value. */
export function readState(value: unknown): SavedState {
  if (!isObject(value)) return { ...initialState };
  const { primary, overlay, view, smoothing, logarithmic } = value;
  const [from, to] = Array.isArray(view) ? (view as unknown[]) : [];
  return {
    primary: typeof primary === "string" ? primary : undefined,
    overlay: Array.isArray(overlay) ? overlay.filter((run) => typeof run === "string") : [],
    view: isNumber(from) && isNumber(to) && from < to ? [from, to] : undefined,
    smoothing:
      isNumber(smoothing) && smoothing >= 0 && smoothing <= 0.99 ? smoothing : initialState.smoothing,
    logarithmic: logarithmic === true,
  };
}
