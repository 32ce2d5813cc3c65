import { randomBytes } from 'node:crypto';

/** A fenced claim on one slot of one worker. Its holder gives it to a LeaseKeeper at once, which renews it. */
export interface Lease {
  readonly token: string;
  readonly workerId: string;
  /** Where the worker takes links, as the worker itself registered it. */
  readonly address: string;
  readonly model: string;
  /** Grows with every grant in the fleet: of two leases of one session, the higher one holds. */
  readonly epoch: number;
}

/** What of a tenant counts when its session asks for a slot. */
export interface TenantClaim {
  readonly id: string;
  /** Sessions it may have, those that wait in line included; 0 for no limit. */
  readonly maxSessions: number;
  /** New sessions in a second, with bursts of twice as many; 0 for no limit. */
  readonly sessionsPerSecond: number;
  /** Its share of the slots granted to those who wait, from 1. */
  readonly weight: number;
  /** Those of a lower priority wait until nobody of a higher one does. */
  readonly priority: LinePriority;
}

/** What is left for a tenant. */
export interface TenantRoom {
  /** It has so many, those that wait in line included. */
  readonly sessions: number;
  /** Why it may open no other now. */
  readonly refusal?: Extract<Placement, { kind: 'refused' }>;
}

export const LINE_PRIORITIES = ['high', 'normal', 'low'] as const;
export type LinePriority = (typeof LINE_PRIORITIES)[number];

export interface LeaseRequest {
  /** From `newLeaseToken()`. Asking again with the same token returns the same lease, so a lost reply costs no slot. */
  readonly token: string;
  readonly sessionId: string;
  /** The session's last epoch; the granted one is above it even if Redis has lost its counter. */
  readonly minEpoch?: number;
  /** Worker ids to pass over, such as the one that has just failed this session. */
  readonly exclude?: readonly string[];
  readonly tenant: TenantClaim;
  /** Only workers that serve this one will do; absent: all. Nobody else waits for who waits for one. */
  readonly model?: string | undefined;
  /**
   * An admitted session that moves: the token of the lease it holds, which is given up in the step that grants the new one,
   * and not before. Its tenant's limits are not asked again, and it waits before all newcomers.
   */
  readonly replaces?: string;
  /** An admitted session without a lease, as after its gateway has died: as `replaces`, but its tenant's limits hold. */
  readonly resumes?: boolean;
}

/**
 * `full`: no usable worker (of the model asked for) has a free slot, or others wait for it. `limit`: the fleet holds as many leases as it may.
 * `no_workers`: none is ready. `line_full`: no more may wait. The other two are limits of the tenant.
 */
export type Refusal =
  | 'full'
  | 'limit'
  | 'no_workers'
  | 'line_full'
  | 'tenant_sessions'
  | 'tenant_rate';

export type Placement =
  | { readonly kind: 'granted'; readonly lease: Lease }
  | {
      readonly kind: 'refused';
      readonly reason: Refusal;
      /** When to ask again: exact for `tenant_rate`, else an estimate of a minute at most; absent while nothing is known. */
      readonly retryAfterMs?: number | undefined;
    };

/** A place in the line. */
export interface Waiting {
  readonly kind: 'waiting';
  /** Grants until its turn, its own included: 1 is next. */
  readonly position: number;
  /** Time until its turn, as leases have lasted of late; absent until one has ended. */
  readonly estimateMs?: number | undefined;
}

/** What has become of a ticket. `gone`: it has ended, as after Redis lost its data; enter the same request again. */
export type TicketState =
  | { readonly kind: 'granted'; readonly lease: Lease }
  | Waiting
  | { readonly kind: 'gone' };

export const PLACEMENT_POLICIES = ['packing', 'spread', 'ordinal'] as const;
/**
 * `packing` fills the fullest worker first, so that others stay empty and can be removed; `spread` takes the emptiest.
 * `ordinal` takes that of the lowest ordinal, of several the fullest: where the highest is the one that is removed.
 */
export type PlacementPolicy = (typeof PLACEMENT_POLICIES)[number];

/** Pool → its part of the leases, by those of others; a pool that is not named has 1. To one of 0 only sessions move that find no slot elsewhere. */
export type PoolWeights = ReadonlyMap<string, number>;

/** Pools that newcomers get no slot of. */
export function closedPools(weights: PoolWeights): string[] {
  return [...weights].flatMap(([pool, weight]) => (weight === 0 ? [pool] : [])).sort();
}

/** `unknown`: neither lease nor worker is there, as after Redis lost its data; keep the session and ask again. */
export type Renewal = 'renewed' | 'lost' | 'unknown';

/** What a worker learns about the lease in a link's hello; the refusals carry the link's own names. */
export type LeaseCheck = 'valid' | 'lease_unknown' | 'stale_epoch';

export function newLeaseToken(): string {
  return randomBytes(18).toString('base64url');
}
