import { randomFrom } from '@voice-fleet/asr-worker/capacity/capacity-loop.sim';

/** Chance that is the same for the same seed. */
export class Chance {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** How many come in a time in which `mean` are expected. */
  poisson(mean: number): number {
    const none = Math.exp(-mean);
    let count = 0;
    for (let product = this.#random(); product > none; product *= this.#random()) count += 1;
    return count;
  }

  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random()));
    return radius * Math.cos(2 * Math.PI * this.#random());
  }

  /** With this mean; `sigma` is the deviation of its logarithm. */
  lognormal(mean: number, sigma: number): number {
    return mean * Math.exp(sigma * this.normal() - (sigma * sigma) / 2);
  }
}
