const AMPLITUDE_LSB = 8;

/**
 * Adds triangular noise of +-8 LSB: the acoustic model never saw digital zeros, and gets 10 points of word error from
 * them. Seeded alike for every stream, so that the same audio is always the same input.
 */
export class Dither {
  #state = 0x9e37_79b9;

  apply(samples: Int16Array): void {
    for (let at = 0; at < samples.length; at++) {
      const noisy = Math.round((samples[at] ?? 0) + (this.#next() - this.#next()) * AMPLITUDE_LSB);
      samples[at] = Math.max(-32_768, Math.min(32_767, noisy));
    }
  }

  /** xorshift32, in 0..1. */
  #next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) / 2 ** 32;
  }
}
