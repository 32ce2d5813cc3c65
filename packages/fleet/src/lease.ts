import { randomBytes } from 'node:crypto';

/** A fenced claim on one slot of one worker. Its holder gives it to a LeaseKeeper at once, which renews it. */
export interface Lease {
  readonly token: string;
  readonly workerId: string;
  /** Where the worker takes links, as the worker itself registered it. */
  readonly address: string;
  readonly model: string;
  /** Grows with every grant in the pool: of two leases of one session, the higher one holds. */
  readonly epoch: number;
}

export interface LeaseRequest {
  /** From `newLeaseToken()`. Asking again with the same token returns the same lease, so a lost reply costs no slot. */
  readonly token: string;
  readonly sessionId: string;
  /** The session's last epoch; the granted one is above it even if Redis has lost its counter. */
  readonly minEpoch?: number;
  /** Worker ids to pass over, such as the one that has just failed this session. */
  readonly exclude?: readonly string[];
}

/** `full`: no usable worker has a free slot. `limit`: the pool holds as many leases as it may. `no_workers`: none is ready. */
export type Refusal = 'full' | 'limit' | 'no_workers';

export type Placement =
  | { readonly kind: 'granted'; readonly lease: Lease }
  | { readonly kind: 'refused'; readonly reason: Refusal };

/** `packing` fills the fullest worker first, so that others stay empty and can be removed; `spread` takes the emptiest. */
export type PlacementPolicy = 'packing' | 'spread';

/** `unknown`: neither lease nor worker is there, as after Redis lost its data; keep the session and ask again. */
export type Renewal = 'renewed' | 'lost' | 'unknown';

/** What a worker learns about the lease in a link's hello; the refusals carry the link's own names. */
export type LeaseCheck = 'valid' | 'lease_unknown' | 'stale_epoch';

export function newLeaseToken(): string {
  return randomBytes(18).toString('base64url');
}
