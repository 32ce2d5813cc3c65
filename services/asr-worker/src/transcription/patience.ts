import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/**
 * Bounds waits that begin and end many times a second: all of them share one timer, which is set anew only when it runs
 * out amid a later wait.
 */
export class Patience {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onOver: () => void;
  #sinceMs: number | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number, onOver: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onOver = onOver;
  }

  /** A wait begins. */
  start(): void {
    this.#sinceMs = this.#clock.now();
    if (this.#timer === undefined) this.#watch(this.#timeoutMs);
  }

  /** Whether one is under way, and not too long. */
  get waiting(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** It ended in time. */
  stop(): void {
    this.#sinceMs = undefined;
  }

  /** There will be no more waits: gives the timer back. */
  close(): void {
    this.stop();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #watch(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#sinceMs === undefined) return;
      const leftMs = this.#sinceMs + this.#timeoutMs - this.#clock.now();
      if (leftMs > 0) return this.#watch(leftMs);
      this.#sinceMs = undefined;
      this.#onOver();
    });
  }
}
