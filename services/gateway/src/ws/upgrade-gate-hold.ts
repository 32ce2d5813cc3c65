import type { Capacity } from '@voice-fleet/fleet/worker';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

export interface UpgradeHoldOptions {
  readonly clock: Clock;
  /** One question to Redis; may throw RedisUnavailable. */
  readonly capacity: () => Promise<Capacity>;
  /** Sessions in the whole fleet at the most; 0: as many as there are slots. */
  readonly maxSessions: number;
  /** A client was kept waiting in vain; by the model that it named. */
  readonly onRefused?: (model: string | undefined) => void;
}

/** `passed`: a slot seems free. It counts as this client's until `settled` is called, when it has it or needs it no more. */
export type HoldOutcome =
  | { readonly kind: 'passed'; readonly settled: () => void }
  | { readonly kind: 'full' }
  | { readonly kind: 'no_workers' };

/** Least time from one question to the next. */
const INTERVAL_MS = 100;

interface Held {
  readonly model: string | undefined;
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
  /** Gone on, without a slot as far as is known here, by the model that they named. */
  readonly #unsettled = new Map<string | undefined, number>();
  #asking = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  #next: Timer | undefined;

  constructor(options: UpgradeHoldOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** How many are held, by the model that they named, '' where they named none. */
  get byModel(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const { model = '' } of this.#held) found.set(model, (found.get(model) ?? 0) + 1);
    return found;
  }

  /**
   * Waits for a slot, `waitMs` at the most and one question at the least; for one of a worker that serves `model`, if that is
   * named. Rejects with what the question failed with, or with the reason of `signal`.
   */
  wait(waitMs: number, signal: AbortSignal, model?: string): Promise<HoldOutcome> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => held.end(() => reject(signal.reason as Error));
      const held: Held = {
        model,
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

  #hear(capacity: Capacity): void {
    const { clock } = this.#options;
    const nowMs = clock.now();
    // Who comes behind one that has to wait may want another model.
    const room = new Map<string | undefined, number>();
    for (const held of this.#held) {
      const { model } = held;
      const left = room.get(model) ?? this.#room(capacity, model);
      if (left > 0) {
        held.end(() => held.resolve({ kind: 'passed', settled: this.#pass(model) }));
        // It counts in what there is for all.
        room.clear();
        continue;
      }
      room.set(model, left);
      if (nowMs < held.deadlineMs) continue;
      const none = model === undefined ? capacity.readyWorkers === 0 : !capacity.models.has(model);
      held.end(() => {
        this.#options.onRefused?.(model);
        held.resolve({ kind: none ? 'no_workers' : 'full' });
      });
    }
  }

  /** Slots for newcomers who name this model, or none. Nobody in line is overtaken, and nobody who has passed. */
  #room({ readyWorkers, leased, waiting, models }: Capacity, model: string | undefined): number {
    const { maxSessions } = this.#options;
    if (readyWorkers === 0) return 0;
    let passed = 0;
    for (const count of this.#unsettled.values()) passed += count;
    let free = 0;
    let waitingForAny = waiting;
    for (const one of models.values()) {
      free += Math.max(0, one.free - one.waiting);
      waitingForAny -= one.waiting;
    }
    let room = free - Math.max(0, waitingForAny) - passed;
    if (model !== undefined) {
      const own = models.get(model) ?? { free: 0, waiting: 0 };
      const unsettled = this.#unsettled.get(model) ?? 0;
      // Those who named none may have taken theirs of this model.
      const any = this.#unsettled.get(undefined) ?? 0;
      room = own.free - own.waiting - unsettled - any;
    }
    return maxSessions > 0 ? Math.min(room, maxSessions - leased - passed) : room;
  }

  #pass(model: string | undefined): () => void {
    let settled = false;
    const count = (by: number): void => {
      const left = (this.#unsettled.get(model) ?? 0) + by;
      if (left > 0) this.#unsettled.set(model, left);
      else this.#unsettled.delete(model);
    };
    count(1);
    return () => {
      if (settled) return;
      settled = true;
      count(-1);
    };
  }
}
