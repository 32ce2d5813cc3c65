import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { CredentialRef } from '@voice-fleet/fleet/tenants/credential';
import type { Answers, StoredCredential } from '@voice-fleet/fleet/tenants/credential-store';
import type { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/** What Redis said of one credential, as of `version` or later. */
export interface Lookup {
  readonly version: string;
  readonly found: StoredCredential | TenantError | undefined;
}

export interface LookupBatchOptions {
  readonly find: (refs: readonly CredentialRef[]) => Promise<Answers<StoredCredential>>;
  readonly clock: Clock;
}

/** Batches begin no closer together, so the questions to Redis are bounded however many guess keys. */
const SPACING_MS = 10;
const BATCH_MAX = 500;
/** Beyond, callers are told to come back. */
const PENDING_MAX = 10_000;

interface Pending {
  readonly ref: CredentialRef;
  readonly answer: Promise<Lookup>;
  readonly resolve: (lookup: Lookup) => void;
  readonly reject: (error: unknown) => void;
}

/** Puts the look-ups of many callers into few questions to Redis. The first one after a pause does not wait. */
export class LookupBatch {
  readonly #find: LookupBatchOptions['find'];
  readonly #clock: Clock;
  readonly #pending = new Map<string, Pending>();
  #begunMs = Number.NEGATIVE_INFINITY;
  #running = false;
  #stopped = false;
  #timer: Timer | undefined;

  constructor({ find, clock }: LookupBatchOptions) {
    this.#find = find;
    this.#clock = clock;
  }

  /** Rejects with RedisUnavailable, also when too many wait or after `stop`. */
  get(ref: CredentialRef): Promise<Lookup> {
    const name = `${ref.kind} ${ref.id}`;
    const waiting = this.#pending.get(name);
    if (waiting) return waiting.answer;
    if (this.#stopped || this.#pending.size >= PENDING_MAX)
      return Promise.reject(new RedisUnavailable(new Error('too many look-ups wait')));
    const { promise: answer, resolve, reject } = withResolvers<Lookup>();
    this.#pending.set(name, { ref, answer, resolve, reject });
    this.#schedule();
    return answer;
  }

  /** Rejects what waits, and all that comes. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#failAll(new RedisUnavailable(new Error('stopped')));
  }

  #schedule(): void {
    if (this.#running || this.#timer || this.#pending.size === 0) return;
    const waitMs = this.#begunMs + SPACING_MS - this.#clock.now();
    if (waitMs > 0) {
      this.#timer = this.#clock.after(waitMs, () => this.#begin());
      return;
    }
    // Those who ask in the same turn of the event loop go together.
    this.#running = true;
    queueMicrotask(() => this.#begin());
  }

  #begin(): void {
    this.#timer = undefined;
    this.#running = true;
    this.#begunMs = this.#clock.now();
    const batch = [...this.#pending].slice(0, BATCH_MAX);
    for (const [name] of batch) this.#pending.delete(name);
    void this.#ask(batch.map(([, pending]) => pending)).then(() => {
      this.#running = false;
      this.#schedule();
    });
  }

  /** Does not reject. */
  async #ask(batch: readonly Pending[]): Promise<void> {
    try {
      const { version, found } = await this.#find(batch.map(({ ref }) => ref));
      for (const [index, { resolve }] of batch.entries()) resolve({ version, found: found[index] });
    } catch (error) {
      for (const { reject } of batch) reject(error);
      // A Redis that hangs would keep the others waiting for one timeout each.
      if (error instanceof RedisUnavailable) this.#failAll(error);
    }
  }

  #failAll(error: unknown): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }
}

/** Promise.withResolvers, which Node 20 has not. */
function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onDone, onFault) => {
    resolve = onDone;
    reject = onFault;
  });
  return { promise, resolve, reject };
}
