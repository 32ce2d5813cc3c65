import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/**
 * The waits of one runner for its engine, one after the other and each bounded. There are ten a second for as long as
 * somebody speaks, so a wait leaves nothing behind: all share one timer, and nothing that outlives a wait is raced with it.
 */
export class EngineWait {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #sinceMs = 0;
  #reject: ((cause: unknown) => void) | undefined;
  #timer: Timer | undefined;
  #end: { readonly cause: unknown } | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Settles as `work` does; rejects when that takes too long, and as soon as the waits are ended. */
  async until(work: Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      work.then(resolve, reject);
      if (this.#end !== undefined) return reject(this.#end.cause);
      this.#reject = reject;
      this.#sinceMs = this.#clock.now();
      if (this.#timer === undefined) this.#watch(this.#timeoutMs);
    });
    this.#reject = undefined;
  }

  /** Rejects the wait under way and all to come with `cause`, and stops the timer. */
  end(cause: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { cause };
    this.#timer?.cancel();
    this.#reject?.(cause);
  }

  /** Set in one wait, the timer may run out in a later one: then it is set again, for the rest of that. */
  #watch(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#reject === undefined) return;
      const leftMs = this.#sinceMs + this.#timeoutMs - this.#clock.now();
      if (leftMs > 0) this.#watch(leftMs);
      else this.end(new Error('the engine did not answer in time'));
    });
  }
}
