import type { Redis } from 'ioredis';
import { z } from 'zod';
import type {
  Lease,
  LeaseCheck,
  LeaseRequest,
  Placement,
  PlacementPolicy,
  Renewal,
} from './lease.ts';
import { PoolScripts } from './scripts.ts';

export interface LeaseStoreOptions {
  readonly pool: string;
  /** How long a slot stays taken after its gateway has died. */
  readonly ttlMs?: number;
  /** How long a slot stays taken after a grant that nobody renews, such as one whose reply was lost; at most `ttlMs`. */
  readonly claimTtlMs?: number;
  readonly policy?: PlacementPolicy;
  /** Live leases in the whole pool at the most; 0 for no limit but the slots. */
  readonly maxLeases?: number;
}

export const LEASE_TTL_MS = 10_000;
/** Above the beat TTL, so that a Redis away for so long has forgotten the worker, too, which then brings the lease along. */
export const CLAIM_TTL_MS = 5_000;

/** A renewal is about 3 µs of Redis, so a chunk holds up others for less than a millisecond. */
const RENEWALS_PER_CALL = 200;

const AcquireReply = z.union([
  z.tuple([z.literal('granted'), z.string(), z.string(), z.string(), z.int().positive()]),
  z.tuple([z.literal('refused'), z.enum(['full', 'limit', 'no_workers'])]),
]);
const RenewReply = z.array(z.enum(['renewed', 'lost', 'unknown']));
const VerifyReply = z.enum(['valid', 'lease_unknown', 'stale_epoch']);

/** Slots of a pool, taken and given back in single steps inside Redis. Every method may throw `RedisUnavailable`. */
export class LeaseStore {
  readonly ttlMs: number;
  readonly claimTtlMs: number;
  readonly #policy: PlacementPolicy;
  readonly #maxLeases: number;
  readonly #scripts: PoolScripts;

  constructor(redis: Redis, options: LeaseStoreOptions) {
    this.ttlMs = options.ttlMs ?? LEASE_TTL_MS;
    this.claimTtlMs = Math.min(options.claimTtlMs ?? CLAIM_TTL_MS, this.ttlMs);
    this.#policy = options.policy ?? 'packing';
    this.#maxLeases = options.maxLeases ?? 0;
    this.#scripts = new PoolScripts(redis, options.pool);
  }

  /** Takes one slot, for `claimTtlMs` until it is renewed. After `RedisUnavailable` the same request may be repeated as it is. */
  async acquire(request: LeaseRequest): Promise<Placement> {
    const { token, sessionId, minEpoch = 0, exclude = [] } = request;
    const reply = AcquireReply.parse(
      await this.#scripts.run(
        'acquire',
        token,
        minEpoch,
        this.claimTtlMs,
        this.#maxLeases,
        this.#policy,
        sessionId,
        ...new Set(exclude),
      ),
    );
    if (reply[0] === 'refused') return { kind: 'refused', reason: reply[1] };
    const [, workerId, address, model, epoch] = reply;
    return { kind: 'granted', lease: { token, workerId, address, model, epoch } };
  }

  /** Gives each lease a full TTL; answers in the order of the leases. */
  async renew(leases: readonly Lease[]): Promise<Renewal[]> {
    const calls: Promise<Renewal[]>[] = [];
    for (let from = 0; from < leases.length; from += RENEWALS_PER_CALL) {
      const chunk = leases.slice(from, from + RENEWALS_PER_CALL);
      const args = chunk.flatMap(({ token, workerId, epoch }) => [token, workerId, epoch]);
      calls.push(
        this.#scripts.run('renew', this.ttlMs, ...args).then((reply) => RenewReply.parse(reply)),
      );
    }
    return (await Promise.all(calls)).flat();
  }

  /** Gives the slot back. False when the lease had ended before: by an earlier release, its TTL, or another epoch. */
  async release(lease: Pick<Lease, 'token' | 'epoch'>): Promise<boolean> {
    return (await this.#scripts.run('release', lease.token, lease.epoch)) === 1;
  }

  /**
   * For a worker, at a link's hello. The worker must count the lease among those it serves from before it asks, else a
   * registration in between would not re-adopt it.
   */
  async verify(
    token: string,
    workerId: string,
    epoch: number,
    sessionId: string,
  ): Promise<LeaseCheck> {
    const reply = await this.#scripts.run('verify', token, workerId, epoch, sessionId);
    return VerifyReply.parse(reply);
  }
}
