import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/** Bounds how long an utterance waits for its engine. Without a worker the session itself sees to that. */
export class EngineDeadline {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onLate: () => void;
  #orphaned = false;
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number, onLate: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
  }

  /** Something is waited for, since the first of these calls. */
  wait(): void {
    if (this.#orphaned) return;
    this.#timer ??= this.#clock.after(this.#timeoutMs, () => {
      this.#timer = undefined;
      this.#onLate();
    });
  }

  /** It has come, or something else is waited for. */
  met(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** There is no worker (true), or one again. */
  orphan(orphaned: boolean): void {
    this.#orphaned = orphaned;
    this.met();
  }
}
