import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Lease } from './lease.ts';
import type { LeaseStore } from './lease-store.ts';
import { RedisUnavailable } from './redis.ts';

export interface LeaseKeeperOptions {
  readonly store: Pick<LeaseStore, 'ttlMs' | 'renew' | 'release'>;
  readonly clock: Clock;
  /** Faults other than `RedisUnavailable`, which the connection's owner hears of already. */
  readonly onError: (error: unknown) => void;
}

interface Held {
  readonly lease: Lease;
  readonly onLost: (lease: Lease) => void;
}

/** While Redis is away the leases run out, so it is asked again sooner than the usual third of the TTL. */
const RETRY_MS = 500;

/** Renews all leases that one process holds. Leases are kept when Redis is away: only Redis itself can say that one is lost. */
export class LeaseKeeper {
  readonly #store: LeaseKeeperOptions['store'];
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #held = new Map<string, Held>();
  #running = false;
  #timer: Timer | undefined;
  #pass: Promise<void> = Promise.resolve();

  constructor(options: LeaseKeeperOptions) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#onError = options.onError;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#schedule(this.#store.ttlMs / 3);
  }

  /** Ends the loop and gives back what is still held. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#timer?.cancel();
    await this.#pass;
    await Promise.all(Array.from(this.#held.values(), ({ lease }) => this.release(lease)));
  }

  /** From now on the lease is renewed. `onLost` is called at most once, and never after `release`. */
  hold(lease: Lease, onLost: (lease: Lease) => void): void {
    this.#held.set(lease.token, { lease, onLost });
  }

  /** Stops renewing and gives the slot back. Does not reject: a lease that cannot be released ends with its TTL. */
  async release(lease: Lease): Promise<void> {
    this.#held.delete(lease.token);
    try {
      await this.#store.release(lease);
    } catch (error) {
      this.#report(error);
    }
  }

  #schedule(delayMs: number): void {
    if (!this.#running) return;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#pass = this.#renewAll().then((nextMs) => this.#schedule(nextMs));
    });
  }

  /** One pass; returns the delay before the next one and does not reject. */
  async #renewAll(): Promise<number> {
    const intervalMs = this.#store.ttlMs / 3;
    const asked = [...this.#held.values()];
    try {
      const answers = await this.#store.renew(asked.map(({ lease }) => lease));
      for (const [index, held] of asked.entries()) {
        if (answers[index] === 'lost') this.#lose(held);
      }
      return intervalMs;
    } catch (error) {
      this.#report(error);
      return Math.min(RETRY_MS, intervalMs);
    }
  }

  #lose(held: Held): void {
    // It may have been released while the question was on its way.
    if (this.#held.get(held.lease.token) !== held) return;
    this.#held.delete(held.lease.token);
    try {
      held.onLost(held.lease);
    } catch (error) {
      this.#onError(error);
    }
  }

  #report(error: unknown): void {
    if (!(error instanceof RedisUnavailable)) this.#onError(error);
  }
}
