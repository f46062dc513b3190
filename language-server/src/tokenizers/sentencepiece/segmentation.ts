/** A normalised text as pieces: its stretches, one after the other, and their ids. */
export interface Segmentation {
  readonly ids: number[];
  /** In UTF-16 units of the normalised text. */
  readonly lengths: number[];
}

export interface Segmenter {
  /** Gives way to other work now and then; a signal is looked at then. */
  segment(normalized: string, signal?: AbortSignal | undefined): Promise<Segmentation>;
}
