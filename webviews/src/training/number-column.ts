/** A column of numbers that grows at its end without being copied each time; NaN stands for a missing value. */
export class NumberColumn {
  #values = new Float64Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** NaN beyond the end. */
  at(index: number): number {
    return index >= 0 && index < this.#length ? (this.#values[index] as number) : Number.NaN;
  }

  get last(): number {
    return this.at(this.#length - 1);
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#length++] = value;
  }

  clear(): void {
    this.#length = 0;
  }

  /** The values so far; valid until the next `push`. */
  values(): Float64Array {
    return this.#values.subarray(0, this.#length);
  }

  /** How many values are less than `value`, in a column that ascends. */
  lowerBound(value: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#values[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The index of the value nearest to `value`, in a column that ascends; -1 when it is empty. */
  nearest(value: number): number {
    if (this.#length === 0) return -1;
    const above = this.lowerBound(value);
    if (above === 0) return 0;
    if (above === this.#length) return above - 1;
    return value - this.at(above - 1) <= this.at(above) - value ? above - 1 : above;
  }
}
