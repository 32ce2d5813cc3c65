import type { Capacity } from '@voice-fleet/fleet/worker';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

export interface UpgradeHoldOptions {
  readonly clock: Clock;
  /** One question to Redis; may throw RedisUnavailable. */
  readonly capacity: () => Promise<Capacity>;
  /** Sessions in the whole pool at the most; 0: as many as there are slots. */
  readonly maxSessions: number;
}

/** `passed`: a slot seems free. It counts as this client's until `settled` is called, when it has it or needs it no more. */
export type HoldOutcome =
  | { readonly kind: 'passed'; readonly settled: () => void }
  | { readonly kind: 'full' }
  | { readonly kind: 'no_workers' };

/** Least time from one question to the next. */
const INTERVAL_MS = 100;

interface Held {
  readonly deadlineMs: number;
  readonly end: (act: () => void) => void;
  readonly resolve: (outcome: HoldOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Clients that wait for a free slot before their upgrade is answered. One question to Redis at a time is asked for them all,
 * and as many go on, in the order in which they came, as it says there are slots. The slots are taken behind it.
 */
export class UpgradeHold {
  readonly #options: UpgradeHoldOptions;
  readonly #held = new Set<Held>();
  /** Gone on, without a slot as far as is known here. */
  #unsettled = 0;
  #asking = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  #next: Timer | undefined;

  constructor(options: UpgradeHoldOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /**
   * Waits for a slot, `waitMs` at the most and one question at the least. Rejects with what the question failed with, or
   * with the reason of `signal`.
   */
  wait(waitMs: number, signal: AbortSignal): Promise<HoldOutcome> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => held.end(() => reject(signal.reason as Error));
      const held: Held = {
        deadlineMs: this.#options.clock.now() + waitMs,
        end: (act) => {
          signal.removeEventListener('abort', onAbort);
          this.#held.delete(held);
          if (this.#held.size === 0) this.#cancelNext();
          act();
        },
        resolve,
        reject,
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#held.add(held);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#asking || this.#next !== undefined || this.#held.size === 0) return;
    const { clock } = this.#options;
    const delayMs = Math.max(0, this.#askedMs + INTERVAL_MS - clock.now());
    this.#next = clock.after(delayMs, () => {
      this.#next = undefined;
      void this.#ask();
    });
  }

  #cancelNext(): void {
    this.#next?.cancel();
    this.#next = undefined;
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    this.#askedMs = this.#options.clock.now();
    try {
      this.#hear(await this.#options.capacity());
    } catch (error) {
      for (const held of this.#held) held.end(() => held.reject(error));
    }
    this.#asking = false;
    this.#schedule();
  }

  #hear({ readyWorkers, free, leased, waiting }: Capacity): void {
    const { clock, maxSessions } = this.#options;
    const allowed = maxSessions > 0 ? maxSessions - leased : Number.POSITIVE_INFINITY;
    // Nobody in line is overtaken.
    let room = readyWorkers === 0 ? 0 : Math.min(free, allowed) - waiting - this.#unsettled;
    const nowMs = clock.now();
    for (const held of this.#held) {
      if (room > 0) {
        room -= 1;
        held.end(() => held.resolve({ kind: 'passed', settled: this.#pass() }));
      } else if (nowMs >= held.deadlineMs) {
        const kind = readyWorkers === 0 ? 'no_workers' : 'full';
        held.end(() => held.resolve({ kind }));
      }
    }
  }

  #pass(): () => void {
    let settled = false;
    this.#unsettled += 1;
    return () => {
      if (settled) return;
      settled = true;
      this.#unsettled -= 1;
    };
  }
}
