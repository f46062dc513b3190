/**
 * Exponential moving average with bias correction: `s ← βs + (1-β)x`, divided by `1-β^n` (Kingma & Ba, arXiv 1412.6980, section 3),
 * so that the first points are not pulled to zero. Missing values are passed through and leave the average alone.
 */
export class Smoother {
  #average = 0;
  #weight = 0;

  /** @param factor β in [0, 1): 0 leaves the values as they are */
  constructor(private readonly factor: number) {}

  next(value: number): number {
    if (!Number.isFinite(value)) return Number.NaN;
    this.#average = this.factor * this.#average + (1 - this.factor) * value;
    this.#weight = this.factor * this.#weight + (1 - this.factor);
    return this.#average / this.#weight;
  }
}

/** Points before anything can be called a spike: at the start of training the loss has no level yet. */
const warmup = 20;
/** How fast the level that a spike stands out from follows the loss. */
const levelRate = 0.1;
/** A spike is this many standard deviations above the level, and by this share of it. */
const spikeDeviations = 6;
const spikeShare = 0.15;

/** Tells a spike, a single loss far above the level of those before it, in one pass over the points. */
export class SpikeDetector {
  #level = Number.NaN;
  #variance = 0;
  #seen = 0;

  isSpike(loss: number): boolean {
    if (!Number.isFinite(loss)) return false;
    if (this.#seen++ === 0) {
      this.#level = loss;
      return false;
    }
    const excess = loss - this.#level;
    const spike =
      this.#seen > warmup &&
      excess > spikeDeviations * Math.sqrt(this.#variance) &&
      excess > spikeShare * Math.abs(this.#level);
    // A spike must not raise the level that the next one is measured from, but a loss that stays up must in the end.
    const rate = spike ? levelRate / 10 : levelRate;
    this.#level += rate * excess;
    this.#variance = (1 - rate) * (this.#variance + rate * excess * excess);
    return spike;
  }
}
