import {
  type Lease,
  newLeaseToken,
  type Placement,
  type TenantClaim,
} from '@voice-fleet/fleet/lease';
import type { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { WaitingLine } from '@voice-fleet/fleet/waiting-line';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { GatewayMetrics } from '../metrics.ts';
import type { Link, LinkRequest, Route } from '../session/link.ts';
import { refusalError } from './refusal.ts';
import type { WorkerDelays } from './worker-delays.ts';
import { dialWorker, LinkRefused, type LinkSettings, type WorkerLink } from './worker-link.ts';

/** A worker that did not take a session is passed over for so long: it may be the only one, and sound again. */
const PASS_OVER_MS = 1_000;
/** Workers tried at a time before a session is told that there is none. */
const MAX_ATTEMPTS = 4;

export interface WorkerRouteDeps {
  readonly line: Pick<WaitingLine, 'acquire'>;
  readonly keeper: LeaseKeeper;
  readonly clock: Clock;
  readonly link: LinkSettings;
  readonly delays: Pick<WorkerDelays, 'nearest' | 'of'>;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
}

/** Whom a route is for. */
export interface RouteRequest {
  readonly sessionId: string;
  readonly tenant: TenantClaim;
  /** Name of the model that it is to have; absent: any. */
  readonly model?: string | undefined;
  /** The session was admitted before, by another connection: it goes before newcomers. */
  readonly resumes?: boolean;
  /** The lease that it may still hold then. */
  readonly leaseToken?: string | undefined;
  /** Of what is being done for the session now; for workers. */
  readonly traceparent?: () => string | undefined;
}

/** A session's one lease, through all its moves, and the way to the worker it is for. */
export class WorkerRoute implements Route {
  readonly #request: RouteRequest;
  readonly #deps: WorkerRouteDeps;
  #lease: Lease | undefined;
  #link: WorkerLink | undefined;
  #wishMs: number | undefined;
  #model: string | undefined;
  /** Token of a request whose answer never came: it may have been granted. */
  #unanswered: string | undefined;
  /** The lease is being exchanged for another. */
  #moving = false;
  #lostWhileMoving = false;

  constructor(request: RouteRequest, deps: WorkerRouteDeps) {
    this.#request = request;
    this.#deps = deps;
    this.#model = request.model;
  }

  /** Asked before a move: false when the session is another connection's by now. */
  mayMove: () => Promise<boolean> = async () => true;

  /** Of the lease held: what another gateway needs to take it over. */
  get leaseToken(): string | undefined {
    return this.#lease?.token ?? this.#request.leaseToken;
  }

  get workerId(): string | undefined {
    return this.#lease?.workerId;
  }

  get delayMs(): number | undefined {
    return this.#lease && this.#deps.delays.of(this.#lease.workerId);
  }

  keepTo(model: string): void {
    this.#model = model;
  }

  async wish(delayMs: number): Promise<boolean> {
    this.#wishMs = delayMs;
    return (await this.#nearer(true)).length > 0;
  }

  async connect(request: LinkRequest): Promise<Link> {
    const { sessionId, tenant, traceparent } = this.#request;
    const { clock, metrics, log, link: settings } = this.#deps;
    const never = request.leave === undefined ? [] : [request.leave];
    const nearer = [...(await this.#nearer(request.onlyWished === true))];
    let passedOver = request.avoid === undefined ? [] : [request.avoid];
    if (this.#lease !== undefined && !(await this.mayMove()))
      throw new VoiceError('fleet_unavailable', { cause: 'resumed elsewhere' });
    const untilMs = clock.now() + request.waitMs;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; ) {
      request.signal.throwIfAborted();
      const leftMs = Math.max(0, untilMs - clock.now());
      const [others = []] = nearer;
      const mostMs = nearer.length > 0 ? 0 : passedOver.length > 0 && PASS_OVER_MS;
      const waitMs = mostMs === false ? leftMs : Math.min(leftMs, mostMs);
      const exclude = [...never, ...passedOver, ...others];
      const lease = await this.#take(exclude, { ...request, waitMs }, attempt > 0).catch(
        (error: unknown) => {
          if (!(error instanceof VoiceError)) throw error;
          const another = nearer.length > (request.onlyWished === true ? 1 : 0);
          if (waitMs === leftMs && !another) throw error;
          return undefined;
        },
      );
      if (lease === undefined) {
        if (nearer.length > 0) nearer.shift();
        else passedOver = [];
        continue;
      }
      const { token, epoch, address, workerId } = lease;
      const lent = { workerId, address, token, epoch, sessionId, tenantId: tenant.id };
      const target = { ...lent, traceparent: traceparent?.() };
      try {
        const link = await dialWorker(target, request.listener, settings, clock, request.signal);
        if (this.#lease === lease) {
          this.#link = link;
          return link;
        }
        await link.close();
      } catch (error) {
        if (!(error instanceof LinkRefused)) throw error;
        const { reason } = error;
        metrics.linkRefusals.labels(reason).inc();
        log.warn({ event: 'link_refused', sid: sessionId, worker: workerId, address, reason });
      }
      passedOver.push(workerId);
      attempt += 1;
    }
    throw new VoiceError('fleet_unavailable');
  }

  async release(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease !== undefined) await this.#deps.keeper.release(lease);
  }

  /**
   * Where to look first, one after the other: of each delay, the nearest to the one wished first, the workers to pass over
   * for it. `only`: of those that are nearer than the present worker's.
   */
  async #nearer(only: boolean): Promise<readonly (readonly string[])[]> {
    if (this.#wishMs === undefined) return [];
    const tiers = await this.#deps.delays.nearest(this.#wishMs);
    const { workerId = '' } = this.#lease ?? {};
    const present = only ? tiers.findIndex(({ others }) => !others.includes(workerId)) : -1;
    const nearer = present < 0 ? tiers : tiers.slice(0, present);
    return nearer.map(({ others }) => others).filter((others) => others.length > 0);
  }

  /** A lease on another worker than those excluded; the one held is given up for it in the same step. */
  async #take(exclude: readonly string[], request: LinkRequest, again: boolean): Promise<Lease> {
    const { keeper, line, metrics } = this.#deps;
    const held = this.#lease;
    const replaces = held?.token ?? this.#request.leaseToken;
    const { signal, waitMs, onPosition } = request;
    this.#moving = true;
    const token = this.#unanswered ?? newLeaseToken();
    this.#unanswered = token;
    const placement = await this.#count(
      line.acquire(
        {
          token,
          sessionId: this.#request.sessionId,
          tenant: this.#request.tenant,
          minEpoch: held?.epoch ?? 0,
          exclude,
          model: this.#model,
          ...(replaces === undefined ? {} : { replaces }),
          ...(this.#request.resumes ? { resumes: true } : {}),
        },
        { signal, waitMs, ...(onPosition && { onPosition }) },
      ),
    ).finally(() => {
      this.#moving = false;
    });
    this.#unanswered = undefined;
    if (placement.kind === 'refused' && this.#lostWhileMoving) this.#link?.lose('lease lost');
    this.#lostWhileMoving = false;
    if (placement.kind === 'refused') throw refusalError(placement, again);
    const { lease } = placement;
    if (held !== undefined) keeper.drop(held);
    this.#lease = lease;
    keeper.hold(lease, () => {
      metrics.leaseOperations.labels('renew', 'lost').inc();
      // While it is exchanged it may have gone already, in the step that granted the next one.
      this.#lostWhileMoving = this.#moving;
      if (this.#lease === lease && !this.#moving) this.#link?.lose('lease lost');
    });
    return lease;
  }

  async #count(asked: Promise<Placement>): Promise<Placement> {
    const { metrics, log, clock } = this.#deps;
    const sinceMs = clock.now();
    const count = (outcome: string): void => {
      metrics.leaseOperations.labels('acquire', outcome).inc();
      metrics.leaseSeconds.labels('acquire').observe((clock.now() - sinceMs) / 1000);
    };
    try {
      const placement = await asked;
      count(placement.kind === 'granted' ? 'granted' : placement.reason);
      return placement;
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      count('redis_unavailable');
      log.warn({ event: 'lease_unanswered', sid: this.#request.sessionId, err: error });
      throw new VoiceError('fleet_unavailable', { cause: error });
    }
  }
}
