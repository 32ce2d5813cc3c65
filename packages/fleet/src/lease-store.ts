import type { Redis } from 'ioredis';
import { z } from 'zod';
import { fleetKeys } from './keys.ts';
import {
  closedPools,
  type Lease,
  type LeaseCheck,
  type LeaseRequest,
  type LinePriority,
  type Placement,
  type PlacementPolicy,
  type PoolWeights,
  type Renewal,
  type TenantClaim,
  type TenantRoom,
  type TicketState,
  type Waiting,
} from './lease.ts';
import { FleetScripts } from './scripts.ts';

export interface LeaseStoreOptions {
  readonly fleet: string;
  /** How long a slot stays taken after its gateway has died. */
  readonly ttlMs?: number;
  /** How long a slot stays taken after a grant that nobody renews, such as one whose reply was lost; at most `ttlMs`. */
  readonly claimTtlMs?: number;
  /** How long a ticket stays in line that nobody polls. */
  readonly ticketTtlMs?: number;
  readonly policy?: PlacementPolicy;
  /** Shares out leases among pools, within which the policy decides; empty: the policy decides among all workers. */
  readonly weights?: PoolWeights;
  /** Live leases in the whole fleet at the most; 0 for no limit but the slots. */
  readonly maxLeases?: number;
  /** Tickets in line at which newcomers are refused. Moves still enter: they are no more than the sessions there are. */
  readonly maxWaiting?: number;
}

export const LEASE_TTL_MS = 10_000;
/** Above the beat TTL, so that a Redis away for so long has forgotten the worker, too, which then brings the lease along. */
export const CLAIM_TTL_MS = 5_000;
/** Three polls. */
export const TICKET_TTL_MS = 3_000;
export const MAX_WAITING = 1_000;

/** A renewal is about 3 µs of Redis, so a chunk holds up others for less than a millisecond. */
const RENEWALS_PER_CALL = 200;
/** A ticket's poll is about 10 µs of Redis. */
const POLLS_PER_CALL = 100;

/** Order in line: lines of a lower number are served first. 0 is that of moves. */
const LINE_CLASS: Record<LinePriority, number> = { high: 1, normal: 2, low: 3 };
/** Virtual time that one grant costs a tenant of weight 1; a whole number also for weights of 0.01 and 1000. */
const TURN_COST = 10_000;

const Granted = z.tuple([
  z.literal('granted'),
  z.string(),
  z.string(),
  z.string(),
  z.int().positive(),
]);
/** The last number is an estimate in ms, or -1. */
const InLine = z.tuple([z.literal('waiting'), z.int().positive(), z.int()]);
const Refused = z.tuple([
  z.literal('refused'),
  z.enum(['full', 'limit', 'no_workers', 'line_full', 'tenant_sessions', 'tenant_rate']),
  z.int(),
]);
const AcquireReply = z.union([Granted, Refused]);
const EnterReply = z.union([Granted, Refused, InLine]);
const PollReply = z.array(z.union([Granted, InLine, z.tuple([z.literal('gone')])]));
const LookReply = z.union([
  z.tuple([z.int()]),
  z.tuple([z.int(), z.enum(['tenant_sessions', 'tenant_rate']), z.int()]),
]);
const RenewReply = z.array(z.enum(['renewed', 'lost', 'unknown']));
const VerifyReply = z.enum(['valid', 'lease_unknown', 'stale_epoch']);

/** Slots of a fleet, taken and given back in single steps inside Redis. Every method may throw `RedisUnavailable`. */
export class LeaseStore {
  readonly ttlMs: number;
  readonly claimTtlMs: number;
  readonly ticketTtlMs: number;
  /** Where each grant to a ticket is published as JSON: token, worker, address, model, epoch. See `grantedLease`. */
  readonly grantsChannel: string;
  readonly #policy: PlacementPolicy;
  readonly #weights: PoolWeights;
  readonly #closed: readonly string[];
  readonly #maxLeases: number;
  readonly #maxWaiting: number;
  readonly #scripts: FleetScripts;

  constructor(redis: Redis, options: LeaseStoreOptions) {
    this.ttlMs = options.ttlMs ?? LEASE_TTL_MS;
    this.claimTtlMs = Math.min(options.claimTtlMs ?? CLAIM_TTL_MS, this.ttlMs);
    this.ticketTtlMs = options.ticketTtlMs ?? TICKET_TTL_MS;
    this.grantsChannel = fleetKeys(options.fleet).grants;
    this.#policy = options.policy ?? 'packing';
    this.#weights = options.weights ?? new Map();
    this.#closed = closedPools(this.#weights);
    this.#maxLeases = options.maxLeases ?? 0;
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING;
    this.#scripts = new FleetScripts(redis, options.fleet);
  }

  /**
   * Takes one slot, for `claimTtlMs` until it is renewed; never waits. A ticket of this token gets its slot now or leaves
   * the line. After `RedisUnavailable` the same request may be repeated as it is.
   */
  async acquire(request: LeaseRequest): Promise<Placement> {
    const reply = AcquireReply.parse(await this.#ask(request, 'acquire', -1));
    return reply[0] === 'granted' ? granted(request.token, reply) : refused(reply);
  }

  /**
   * As `acquire`, but instead of `full`, `limit` or `no_workers` it gives the request a ticket, which must be polled within
   * each `ticketTtlMs`. Entering again with the same token returns the same ticket, or its lease. `waitedMs`, for a ticket
   * that Redis has lost: it stands where it stood among those of its tenant, and counts as no new session.
   */
  async enter(
    request: LeaseRequest,
    options: { readonly waitedMs?: number } = {},
  ): Promise<Placement | Waiting> {
    const { waitedMs = -1 } = options;
    const reply = EnterReply.parse(await this.#ask(request, 'enter', Math.round(waitedMs)));
    if (reply[0] === 'granted') return granted(request.token, reply);
    return reply[0] === 'waiting' ? waiting(reply) : refused(reply);
  }

  /** Keeps tickets in line and says how they stand, in the order of the tokens. A granted lease begins its `claimTtlMs` anew. */
  async poll(tokens: readonly string[]): Promise<TicketState[]> {
    const calls: Promise<TicketState[]>[] = [];
    for (let from = 0; from < tokens.length; from += POLLS_PER_CALL) {
      const chunk = tokens.slice(from, from + POLLS_PER_CALL);
      calls.push(this.#poll(chunk));
    }
    return (await Promise.all(calls)).flat();
  }

  /** Leaves the line, or gives back the lease granted meanwhile. False when there was neither. */
  async abandon(token: string): Promise<boolean> {
    return (await this.#scripts.run('abandon', token)) === 1;
  }

  /** Whether a tenant could open one more session: takes no place, so the answer may be another a moment later. */
  async look({ id, maxSessions, sessionsPerSecond }: TenantClaim): Promise<TenantRoom> {
    const reply = await this.#scripts.run('look', id, maxSessions, sessionsPerSecond);
    const [sessions, reason, waitMs] = LookReply.parse(reply);
    if (reason === undefined || waitMs === undefined) return { sessions };
    return { sessions, refusal: refused(['refused', reason, waitMs]) };
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
    tenantId: string,
  ): Promise<LeaseCheck> {
    const reply = await this.#scripts.run('verify', token, workerId, epoch, sessionId, tenantId);
    return VerifyReply.parse(reply);
  }

  #ask(request: LeaseRequest, mode: 'acquire' | 'enter', waitedMs: number): Promise<unknown> {
    const { token, sessionId, tenant, minEpoch = 0, exclude = [], model } = request;
    const { replaces, resumes } = request;
    const moves = replaces !== undefined || resumes === true;
    const terms = {
      session: sessionId,
      tenant: tenant.id,
      class: moves ? 0 : LINE_CLASS[tenant.priority],
      cost: Math.max(1, Math.round(TURN_COST / tenant.weight)),
      min_epoch: minEpoch,
      claim_ttl: this.claimTtlMs,
      policy: this.#policy,
      limit: this.#maxLeases,
      replaces,
      ...(resumes && { own_class: LINE_CLASS[tenant.priority] }),
      exclude: [...new Set(exclude)],
      model,
      ...(this.#weights.size > 0 && { weights: Object.fromEntries(this.#weights) }),
      ...(this.#closed.length > 0 && !moves && { closed: this.#closed }),
    };
    return this.#scripts.run(
      'acquire',
      mode,
      token,
      JSON.stringify(terms),
      tenant.maxSessions,
      // Whoever moves or comes back to the line has been counted as a new session before.
      moves || waitedMs >= 0 ? 0 : tenant.sessionsPerSecond,
      this.ticketTtlMs,
      this.#maxWaiting,
      Math.max(0, waitedMs),
    );
  }

  async #poll(tokens: readonly string[]): Promise<TicketState[]> {
    const reply = await this.#scripts.run('poll', this.ticketTtlMs, this.claimTtlMs, ...tokens);
    return PollReply.parse(reply).map((state, index) => {
      if (state[0] === 'granted') return granted(tokens[index] as string, state);
      return state[0] === 'waiting' ? waiting(state) : { kind: 'gone' };
    });
  }
}

const GrantMessage = z.tuple([z.string(), z.string(), z.string(), z.string(), z.int().positive()]);

/** The lease in a message of `grantsChannel`. Throws on any other text. */
export function grantedLease(message: string): Lease {
  const [token, workerId, address, model, epoch] = GrantMessage.parse(JSON.parse(message));
  return { token, workerId, address, model, epoch };
}

function granted(
  token: string,
  [, workerId, address, model, epoch]: z.infer<typeof Granted>,
): { kind: 'granted'; lease: Lease } {
  return { kind: 'granted', lease: { token, workerId, address, model, epoch } };
}

function waiting([, position, estimateMs]: z.infer<typeof InLine>): Waiting {
  return { kind: 'waiting', position, estimateMs: known(estimateMs) };
}

function refused([, reason, retryAfterMs]: z.infer<typeof Refused>): Extract<
  Placement,
  { kind: 'refused' }
> {
  return { kind: 'refused', reason, retryAfterMs: known(retryAfterMs) };
}

/** Scripts say -1 where they do not know. */
function known(ms: number): number | undefined {
  return ms < 0 ? undefined : ms;
}
