import { randomBytes } from 'node:crypto';
import type { LeaseStore } from '@voice-fleet/fleet/lease-store';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { SessionInfo } from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Authenticator } from '../auth/authenticator.ts';
import type { RevocationWatch } from '../auth/revocation-watch.ts';
import { sessionLimits, tenantClaim } from '../auth/session-limits.ts';
import type { ModelNames } from '../catalogue/model-catalogue.ts';
import type { SessionChronicle } from '../chronicle/session-chronicle.ts';
import type { Handshake } from '../dialects/dialect.ts';
import type { RouteRequest, WorkerRoute } from '../routing/worker-route.ts';
import { NO_WORKERS } from '../session/failover.ts';
import type { SessionLimits } from '../session/limits.ts';
import { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import type { DailyAudio } from '../usage/daily-audio.ts';
import type { SessionRecord, SessionRecords } from './session-records.ts';

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly authenticator: Pick<Authenticator, 'authenticate'>;
  readonly watch: Pick<RevocationWatch, 'watch'>;
  readonly models: ModelNames;
  readonly route: (request: RouteRequest) => WorkerRoute;
  readonly records: SessionRecords;
  readonly dailyAudio: DailyAudio;
  readonly store: Pick<LeaseStore, 'look'>;
  readonly limits: SessionLimits;
  /** Whether there is no worker because none could load its model. */
  readonly modelFailed: () => Promise<boolean>;
  /** How long a client that did not ask to wait is kept waiting for a slot all the same. */
  readonly holdMs: number;
  /** The longest that a client may ask to wait. */
  readonly maxWaitMs: number;
}

/** The connection that asks. */
export interface Guest {
  readonly sink: SessionSink;
  readonly chronicle: SessionChronicle;
  /** The session exists and may be closed; it is not admitted yet. */
  onSession(session: Session, principal: Principal): void;
  /** Turns it away, whatever it is waiting for. */
  fail(error: VoiceError): void;
}

export interface Admitted {
  readonly session: Session;
  readonly info: SessionInfo;
  readonly principal: Principal;
  /** Of a session that can be resumed. */
  readonly record: SessionRecord | undefined;
  /** Its tenant has nearly as many sessions as it may. */
  readonly crowd?: { readonly used: number; readonly max: number };
}

/** Part of its sessions from which on each new one of a tenant is warned. The frame tells how near the limit is. */
const CROWDED = 0.8;

/** Lets clients in: key, limits of the tenant, a slot. Throws VoiceError. */
export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  async admit(handshake: Handshake, guest: Guest): Promise<Admitted> {
    const { authenticator, watch } = this.#deps;
    guest.chronicle.admitting();
    const principal = await authenticator.authenticate(handshake.apiKey, 'stream');
    // It may wait long, and its key be revoked meanwhile.
    const unwatch = watch.watch(principal, ({ kind }) => {
      if (kind === 'revoked') guest.fail(new VoiceError('key_revoked'));
    });
    try {
      return handshake.resume === undefined
        ? await this.#open(handshake, principal, guest)
        : await this.#resume(handshake.resume, principal, guest);
    } catch (error) {
      throw await this.#explained(error);
    } finally {
      unwatch();
    }
  }

  /** A fleet without workers may have a reason that no later attempt mends. */
  async #explained(error: unknown): Promise<unknown> {
    const none = error instanceof VoiceError && error.details['reason'] === NO_WORKERS;
    if (!none || !(await this.#deps.modelFailed())) return error;
    return new VoiceError('model_load_failed', { cause: error });
  }

  async #open(handshake: Handshake, principal: Principal, guest: Guest): Promise<Admitted> {
    const { clock, limits, models, records, holdMs, maxWaitMs } = this.#deps;
    await this.#deps.dailyAudio.expectLeft(principal);
    const { idleTimeoutMs } = handshake;
    const model = await models.resolve(handshake.model, principal.models);
    const id = `sess_${randomBytes(16).toString('hex')}`;
    const { chronicle } = guest;
    const traceparent = (): string | undefined => chronicle.traceparent;
    const tenant = tenantClaim(principal);
    const route = this.#deps.route({ sessionId: id, tenant, model, traceparent });
    const session = new Session({
      id,
      clock,
      limits: {
        ...sessionLimits(limits, principal.limits),
        ...(idleTimeoutMs && { idleTimeoutMs }),
      },
      route,
      sink: chronicle.sink(guest.sink),
      meant: (name) => models.meant(name, principal.models),
    });
    guest.onSession(session, principal);
    const sinceMs = clock.now();
    const waits = handshake.waitMs > 0;
    const info = await session.open({
      waitMs: waits ? Math.min(handshake.waitMs, maxWaitMs) : holdMs,
      ...(waits && {
        onPosition: (position, estimateMs) =>
          guest.sink.event({ kind: 'queued', position, estimateMs }),
      }),
    });
    chronicle.queued(clock.now() - sinceMs);
    const record = handshake.resumable ? await records.open(id, principal, route) : undefined;
    const crowd = await this.#crowd(principal);
    return { session, info, principal, record, ...(crowd && { crowd }) };
  }

  async #crowd(principal: Principal): Promise<Admitted['crowd']> {
    const max = principal.limits.maxSessions;
    if (max === 0) return undefined;
    // Admitted is admitted: a Redis that has just gone is no reason to turn anybody away.
    const room = await this.#deps.store.look(tenantClaim(principal)).catch(() => undefined);
    const used = room?.sessions ?? 0;
    return used >= CROWDED * max ? { used, max } : undefined;
  }

  async #resume(
    { token, lastSeq }: NonNullable<Handshake['resume']>,
    principal: Principal,
    guest: Guest,
  ): Promise<Admitted> {
    const { clock, limits, models, records } = this.#deps;
    const found = await records.resume(token, principal, lastSeq);
    const { sessionId: id, leaseToken, snapshot, text, acceptedSamples } = found;
    const tenant = tenantClaim(principal);
    const { chronicle } = guest;
    const traceparent = (): string | undefined => chronicle.traceparent;
    const from = { sessionId: id, tenant, resumes: true, leaseToken, traceparent };
    const route = this.#deps.route(from);
    const session = new Session({
      id,
      clock,
      limits: sessionLimits(limits, principal.limits),
      route,
      sink: chronicle.sink(guest.sink),
      meant: (name) => models.meant(name, principal.models),
      restored: { snapshot, text, acceptedSamples },
    });
    guest.onSession(session, principal);
    return { session, info: session.resume(snapshot), principal, record: found.own(route) };
  }
}
