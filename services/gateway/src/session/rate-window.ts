/** A sliding window over the last `windowMs`, kept as counts in equal slices so that memory does not grow with the limit. */
export class RateWindow {
  static readonly #SLICES = 60;
  readonly #limit: number;
  readonly #sliceMs: number;
  readonly #counts = new Uint32Array(RateWindow.#SLICES);
  #slice = 0;
  #total = 0;

  /** `limit` 0 allows everything. */
  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#sliceMs = windowMs / RateWindow.#SLICES;
  }

  /** Counts one event and returns 0, or, when the window is full, counts nothing and returns the wait in ms until one fits. */
  take(nowMs: number): number {
    if (this.#limit === 0) return 0;
    const slice = Math.floor(nowMs / this.#sliceMs);
    this.#forget(slice);
    const at = slice % RateWindow.#SLICES;
    if (this.#total < this.#limit) {
      this.#counts[at] = (this.#counts[at] ?? 0) + 1;
      this.#total += 1;
      return 0;
    }
    for (let age = RateWindow.#SLICES - 1; age >= 0; age -= 1) {
      const oldest = slice - age;
      if ((this.#counts[oldest % RateWindow.#SLICES] ?? 0) > 0) {
        return (oldest + RateWindow.#SLICES) * this.#sliceMs - nowMs;
      }
    }
    return this.#sliceMs;
  }

  #forget(slice: number): void {
    const steps = Math.min(slice - this.#slice, RateWindow.#SLICES);
    for (let step = 0; step < steps; step += 1) {
      const at = (slice - step) % RateWindow.#SLICES;
      this.#total -= this.#counts[at] ?? 0;
      this.#counts[at] = 0;
    }
    this.#slice = slice;
  }
}
