import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Lease } from './lease.ts';
import type { LeaseStore } from './lease-store.ts';
import { RedisUnavailable } from './redis.ts';

export interface LeaseKeeperOptions {
  readonly store: Pick<LeaseStore, 'ttlMs' | 'claimTtlMs' | 'renew' | 'release'>;
  readonly clock: Clock;
  /** Faults other than `RedisUnavailable`, which the connection's owner hears of already. */
  readonly onError: (error: unknown) => void;
}

interface Held {
  readonly lease: Lease;
  readonly onLost: (lease: Lease) => void;
  /** When it is to be renewed: at once when new, then every third of the TTL. Left as it is while Redis is away. */
  dueMs: number;
}

/** What is due waits no longer than this, or a quarter of the short time that a grant has. */
const TICK_MS = 500;

/** Renews all leases that one process holds. Leases are kept when Redis is away: only Redis itself can say that one is lost. */
export class LeaseKeeper {
  readonly #store: LeaseKeeperOptions['store'];
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #held = new Map<string, Held>();
  #timer: Timer | undefined;
  #pass: Promise<void> | undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#onError = options.onError;
  }

  start(): void {
    const tickMs = Math.min(TICK_MS, this.#store.claimTtlMs / 4);
    this.#timer ??= this.#clock.every(tickMs, () => this.#tick());
  }

  /** Ends the loop and gives back what is still held. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#pass;
    await Promise.all(Array.from(this.#held.values(), ({ lease }) => this.release(lease)));
  }

  /** From now on the lease is renewed. `onLost` is called at most once, and never after `release` or `drop`. */
  hold(lease: Lease, onLost: (lease: Lease) => void): void {
    this.#held.set(lease.token, { lease, onLost, dueMs: this.#clock.now() });
  }

  /** Stops renewing a lease that another one has replaced, whose grant gave the slot back. */
  drop(lease: Pick<Lease, 'token'>): void {
    this.#held.delete(lease.token);
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

  #tick(): void {
    if (this.#pass !== undefined) return;
    const nowMs = this.#clock.now();
    const due = [...this.#held.values()].filter(({ dueMs }) => dueMs <= nowMs);
    if (due.length === 0) return;
    this.#pass = this.#renew(due, nowMs).finally(() => {
      this.#pass = undefined;
    });
  }

  /** Asks for all of them at once; does not reject. */
  async #renew(due: readonly Held[], nowMs: number): Promise<void> {
    try {
      const answers = await this.#store.renew(due.map(({ lease }) => lease));
      for (const [index, held] of due.entries()) {
        held.dueMs = nowMs + this.#store.ttlMs / 3;
        if (answers[index] === 'lost') this.#lose(held);
      }
    } catch (error) {
      this.#report(error);
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
