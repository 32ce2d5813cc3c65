import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Redis } from 'ioredis';
import type { LeaseRequest, Placement, Waiting } from './lease.ts';
import { grantedLease, type LeaseStore } from './lease-store.ts';
import { RedisUnavailable, redisFault } from './redis.ts';

export interface WaitingLineOptions {
  readonly store: Pick<LeaseStore, 'acquire' | 'enter' | 'poll' | 'abandon' | 'grantsChannel'>;
  /** A connection of its own, from `connectRedis`, which its owner ends after `stop`. */
  readonly subscriber: Redis;
  readonly clock: Clock;
  /** Faults other than `RedisUnavailable`, which the connections' owner hears of already. */
  readonly onError: (error: unknown) => void;
}

export interface WaitOptions {
  readonly signal: AbortSignal;
  /** 0: a plain acquire. */
  readonly waitMs: number;
  /** Called on entering the line and when the place has changed, at most once in a second. */
  readonly onPosition?: (position: number, estimateMs: number | undefined) => void;
}

/** A third of a ticket's TTL, so that one poll may fail. */
const POLL_INTERVAL_MS = 1_000;

/** One request that waits. It is over once it is no longer in the map. */
interface Waiter {
  readonly request: LeaseRequest;
  readonly options: WaitOptions;
  readonly sinceMs: number;
  /** Call of its own that is on its way; no other is made meanwhile. Never rejects. */
  asking: Promise<void> | undefined;
  /** Whether Redis has its ticket, as far as is known here. */
  inLine: boolean;
  /** The place last told, and whether that was since the last poll but one. */
  position: number | undefined;
  toldEarly: boolean;
  readonly end: (act: () => void) => void;
  readonly resolve: (placement: Placement) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * The requests of one gateway that wait for a slot. Redis decides who is next and says so on a channel; a poll each second
 * keeps the tickets, and finds what a lost message did not tell. Bounded by the line in Redis.
 */
export class WaitingLine {
  readonly #store: WaitingLineOptions['store'];
  readonly #subscriber: Redis;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #waiters = new Map<string, Waiter>();
  /** Tickets and leases on their way back. */
  readonly #leaving = new Set<Promise<void>>();
  #timer: Timer | undefined;
  #pass: Promise<void> | undefined;
  #subscribed = false;

  constructor(options: WaitingLineOptions) {
    this.#store = options.store;
    this.#subscriber = options.subscriber;
    this.#clock = options.clock;
    this.#onError = options.onError;
  }

  /** Requests with a ticket, here. */
  get waiting(): number {
    let count = 0;
    for (const { inLine } of this.#waiters.values()) if (inLine) count += 1;
    return count;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.every(POLL_INTERVAL_MS, () => this.#tick());
    this.#subscriber.on('ready', this.#onReady).on('message', this.#onMessage);
    if (this.#subscriber.status === 'ready') this.#onReady();
  }

  /** Rejects whatever waits, gives back its tickets and stops listening. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const reason = new Error('the waiting line has stopped');
    for (const waiter of this.#waiters.values()) this.#giveUp(waiter, reason);
    await this.#pass;
    await Promise.all(this.#leaving);
    this.#subscriber.off('ready', this.#onReady).off('message', this.#onMessage);
    if (!this.#subscribed) return;
    this.#subscribed = false;
    await this.#subscriber.unsubscribe(this.#store.grantsChannel).catch(this.#report);
  }

  /**
   * A slot, as soon as it is this request's turn. After `waitMs` a last try, and what that says. Rejects with the signal's
   * reason, and leaves nothing in Redis behind. While Redis is away whoever is in line, or moves, goes on waiting, until
   * `waitMs`; then, as for newcomers at once, it rejects with `RedisUnavailable`. One that moves asks again with the same
   * token then: it may have been granted its slot.
   */
  acquire(request: LeaseRequest, options: WaitOptions): Promise<Placement> {
    const { signal, waitMs } = options;
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#giveUp(waiter, signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      let deadline: Timer | undefined;
      const waiter: Waiter = {
        request,
        options,
        sinceMs: this.#clock.now(),
        asking: undefined,
        inLine: false,
        position: undefined,
        toldEarly: false,
        end: (act) => {
          if (!this.#waiters.delete(request.token)) return;
          deadline?.cancel();
          signal.removeEventListener('abort', onAbort);
          act();
        },
        resolve,
        reject,
      };
      // Before Redis is asked, for the message of a grant may be here before the reply that says "wait".
      this.#waiters.set(request.token, waiter);
      if (waitMs <= 0) return this.#askLast(waiter);
      deadline = this.#clock.after(waitMs, () => this.#askLast(waiter));
      this.#ask(waiter, () => this.#store.enter(request));
    });
  }

  readonly #onReady = (): void => {
    this.#subscribed = false;
    this.#subscribe();
  };

  readonly #onMessage = (channel: string, message: string): void => {
    if (channel !== this.#store.grantsChannel) return;
    try {
      const lease = grantedLease(message);
      const waiter = this.#waiters.get(lease.token);
      if (waiter !== undefined) this.#hear(waiter, { kind: 'granted', lease });
    } catch (error) {
      this.#onError(error);
    }
  };

  readonly #report = (error: unknown): void => {
    const fault = redisFault(error);
    if (!(fault instanceof RedisUnavailable)) this.#onError(fault);
  };

  #subscribe(): void {
    this.#subscriber.subscribe(this.#store.grantsChannel).then(() => {
      this.#subscribed = true;
    }, this.#report);
  }

  #isOver(waiter: Waiter): boolean {
    return this.#waiters.get(waiter.request.token) !== waiter;
  }

  #ask(waiter: Waiter, call: () => Promise<Placement | Waiting>): void {
    const asking: Promise<void> = call()
      .then(
        (answer) => this.#hear(waiter, answer),
        (error: unknown) => this.#fault(waiter, error),
      )
      .finally(() => {
        // A last ask may stand behind this one.
        if (waiter.asking === asking) waiter.asking = undefined;
      });
    waiter.asking = asking;
  }

  /** Ends the wait: whatever Redis says now is the answer. */
  #askLast(waiter: Waiter): void {
    const { request } = waiter;
    const before = waiter.asking ?? Promise.resolve();
    waiter.asking = before
      .then(() => (this.#isOver(waiter) ? undefined : this.#store.acquire(request)))
      .then(
        (answer) => answer && this.#hear(waiter, answer),
        (error: unknown) => this.#giveUp(waiter, error),
      );
  }

  #hear(waiter: Waiter, answer: Placement | Waiting): void {
    if (this.#isOver(waiter)) return;
    if (answer.kind !== 'waiting') return waiter.end(() => waiter.resolve(answer));
    waiter.inLine = true;
    waiter.toldEarly = true;
    this.#tell(waiter, answer);
  }

  #fault(waiter: Waiter, error: unknown): void {
    const { replaces, resumes } = waiter.request;
    const admitted = waiter.position !== undefined || replaces !== undefined || resumes === true;
    if (!admitted || !(error instanceof RedisUnavailable)) this.#giveUp(waiter, error);
  }

  #tell(waiter: Waiter, { position, estimateMs }: Waiting): void {
    if (position === waiter.position) return;
    waiter.position = position;
    try {
      waiter.options.onPosition?.(position, estimateMs);
    } catch (error) {
      this.#onError(error);
    }
  }

  #giveUp(waiter: Waiter, reason: unknown): void {
    waiter.end(() => {
      waiter.reject(reason);
      // A mover asks again with this token: if it was granted its slot, it has given up the other one for it.
      if (waiter.request.replaces !== undefined && reason instanceof RedisUnavailable) return;
      // After the call on its way, which may yet make a ticket or a lease.
      const left: Promise<void> = (waiter.asking ?? Promise.resolve())
        .then(() => this.#store.abandon(waiter.request.token))
        .then(() => undefined, this.#report)
        .finally(() => this.#leaving.delete(left));
      this.#leaving.add(left);
    });
  }

  #tick(): void {
    if (this.#subscriber.status === 'ready') {
      // An answer is the only sign of life of a connection on which nobody is granted anything.
      if (this.#subscribed) this.#subscriber.ping().catch(this.#report);
      else this.#subscribe();
    }
    if (this.#pass !== undefined || this.#waiters.size === 0) return;
    this.#pass = this.#poll().finally(() => {
      this.#pass = undefined;
    });
  }

  /** Asks for all tickets at once, and enters those anew that Redis does not have. Does not reject. */
  async #poll(): Promise<void> {
    const idle = Array.from(this.#waiters.values()).filter(({ asking }) => asking === undefined);
    const inLine = idle.filter((waiter) => waiter.inLine);
    try {
      const states = await this.#store.poll(inLine.map(({ request }) => request.token));
      for (const [index, waiter] of inLine.entries()) {
        const state = states[index];
        if (state === undefined || this.#isOver(waiter)) continue;
        if (state.kind === 'gone') waiter.inLine = false;
        else if (state.kind === 'granted') this.#hear(waiter, state);
        else if (waiter.toldEarly) waiter.toldEarly = false;
        else this.#tell(waiter, state);
      }
    } catch (error) {
      this.#report(error);
    }
    for (const waiter of idle) {
      if (waiter.inLine || waiter.asking !== undefined || this.#isOver(waiter)) continue;
      const waitedMs = this.#clock.now() - waiter.sinceMs;
      this.#ask(waiter, () => this.#store.enter(waiter.request, { waitedMs }));
    }
  }
}
