import type { Clock, Timer } from '@voice-fleet/runtime/clock';

const FIRST_MS = 250;
const MAX_MS = 5_000;

/** After utterances that failed in a row the next waits longer and longer: an engine that is broken is not to be flooded. */
export class RetryPause {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #failures = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Nothing is begun now. */
  get on(): boolean {
    return this.#timer !== undefined;
  }

  failed(): void {
    const ms = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.stop();
    this.#timer = this.#clock.after(ms, () => {
      this.#timer = undefined;
      this.#onOver();
    });
  }

  succeeded(): void {
    this.#failures = 0;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
