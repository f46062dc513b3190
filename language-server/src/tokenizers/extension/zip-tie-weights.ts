export const zipTieWeights = ["mean", "position", "length"] as const;

/**
 * What the tokens that a new one replaces weigh in its embedding. `mean`: all alike, as in the Bailong paper. `position`: the
 * n-th has 1/n of the first one's weight. `length`: by the bytes of UTF-8 that each stands for. They add up to 1.
 */
export type ZipTieWeights = (typeof zipTieWeights)[number];
