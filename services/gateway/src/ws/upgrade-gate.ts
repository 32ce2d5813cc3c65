import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { requestPath, requestQuery, type UpgradeRefusal } from '@voice-fleet/runtime/upgrade';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { admissionOutcome } from '../admission-outcome.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import { tenantClaim } from '../auth/session-limits.ts';
import type { ModelNames } from '../catalogue/model-catalogue.ts';
import type { Dialect } from '../dialects/dialect.ts';
import type { Dialects } from '../dialects/dialects.ts';
import type { GatewayMetrics } from '../metrics.ts';
import { refusalError } from '../routing/refusal.ts';
import type { DailyAudio } from '../usage/daily-audio.ts';
import type { UpgradeHold } from './upgrade-gate-hold.ts';
import {
  refusalReason,
  type UpgradeRefusalReason,
  unknownPath,
  upgradeRefusal,
} from './upgrade-gate-refusal.ts';

export interface UpgradeLimits {
  /** Sockets that are not admitted yet. */
  readonly maxPending: number;
  /** Sockets of clients, admitted or not; 0 for any number. */
  readonly maxConnections: number;
  /** How long an upgrade is left unanswered when no slot is free. */
  readonly holdMs: number;
}

export interface UpgradeGateDeps {
  readonly dialects: Pick<Dialects, 'at'>;
  readonly limits: UpgradeLimits;
  readonly authenticator: Pick<Authenticator, 'authenticate'>;
  readonly models: Pick<ModelNames, 'resolve'>;
  readonly dailyAudio: Pick<DailyAudio, 'expectLeft'>;
  readonly store: Pick<LeaseStore, 'look'>;
  readonly hold: Pick<UpgradeHold, 'wait' | 'size'>;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly random?: () => number;
}

/** No longer than this, whatever is configured: clients of such dialects give up after 10 s, and have more to do in them. */
const MAX_HOLD_MS = 5_000;

/** Decides which upgrades are answered with 101, and keeps count of the sockets that were. */
export class UpgradeGate {
  readonly #deps: UpgradeGateDeps;
  readonly #stopping = new AbortController();
  /** What to do when the socket is admitted or closed. */
  readonly #pending = new Map<Socket, () => void>();
  #connections = 0;

  constructor(deps: UpgradeGateDeps) {
    this.#deps = deps;
    deps.metrics.connectionsNow = () => this.#counts();
  }

  /** Holds nobody any more. Open sockets are the business of their connections. */
  stop(): void {
    this.#stopping.abort(new VoiceError('fleet_unavailable'));
  }

  /** The client of this upgrade has a session. */
  admitted({ socket }: Pick<IncomingMessage, 'socket'>): void {
    const settled = this.#pending.get(socket);
    this.#pending.delete(socket);
    settled?.();
  }

  check(
    request: IncomingMessage,
    signal: AbortSignal,
  ): UpgradeRefusal | undefined | Promise<UpgradeRefusal | undefined> {
    const { dialects, limits, metrics } = this.#deps;
    const path = requestPath(request);
    const dialect = dialects.at(path);
    if (dialect === undefined) {
      metrics.upgradesRefused.labels('unknown_path').inc();
      return unknownPath(path);
    }
    if (this.#pending.size >= limits.maxPending) return this.#tooMany('too_many_pending', dialect);
    if (limits.maxConnections > 0 && this.#connections >= limits.maxConnections)
      return this.#tooMany('too_many_connections', dialect);
    this.#enter(request);
    return dialect.admission === 'socket' ? undefined : this.#judge(dialect, request, signal);
  }

  #counts(): { held: number; pending: number; admitted: number } {
    const held = this.#deps.hold.size;
    const pending = this.#pending.size;
    return { held, pending: pending - held, admitted: this.#connections - pending };
  }

  #enter({ socket }: IncomingMessage): void {
    this.#connections += 1;
    this.#pending.set(socket, () => undefined);
    socket.once('close', () => {
      this.#connections -= 1;
      this.admitted({ socket });
    });
  }

  /** Key, model, limits of the tenant and a free slot. What is found here is looked at again, exactly, when the slot is taken. */
  async #judge(
    dialect: Dialect,
    request: IncomingMessage,
    signal: AbortSignal,
  ): Promise<UpgradeRefusal | undefined> {
    const { metrics, log } = this.#deps;
    try {
      await this.#expectRoom(dialect, request, AbortSignal.any([signal, this.#stopping.signal]));
      return undefined;
    } catch (thrown) {
      if (signal.aborted) {
        metrics.countAdmission(dialect.name, 'abandoned');
        return undefined;
      }
      const error = asVoiceError(thrown);
      if (error.code === 'internal') log.error({ event: 'upgrade_fault', err: thrown });
      metrics.countAdmission(dialect.name, admissionOutcome(error));
      return this.#refuse(refusalReason(error), error, dialect);
    }
  }

  async #expectRoom(
    dialect: Dialect,
    request: IncomingMessage,
    signal: AbortSignal,
  ): Promise<void> {
    const { authenticator, models, dailyAudio, store, hold, limits } = this.#deps;
    const { apiKey, resume, model } = dialect.handshake(requestQuery(request), request.headers);
    const principal: Principal = await authenticator.authenticate(apiKey, 'stream');
    const meant = await models.resolve(model, principal.models);
    await dailyAudio.expectLeft(principal);
    // Whoever comes back has been admitted before.
    if (resume !== undefined) return;
    const { maxSessions, sessionsPerSecond } = principal.limits;
    if (maxSessions > 0 || sessionsPerSecond > 0) {
      const { refusal } = await store.look(tenantClaim(principal));
      if (refusal !== undefined) throw refusalError(refusal);
    }
    const outcome = await hold.wait(Math.min(limits.holdMs, MAX_HOLD_MS), signal, meant);
    if (outcome.kind === 'full') throw new VoiceError('at_capacity');
    if (outcome.kind === 'no_workers') throw new VoiceError('fleet_unavailable');
    const { socket } = request;
    if (this.#pending.has(socket)) this.#pending.set(socket, outcome.settled);
    else outcome.settled();
  }

  #tooMany(reason: 'too_many_pending' | 'too_many_connections', dialect: Dialect): UpgradeRefusal {
    const message = 'This gateway cannot take more connections right now. Try again shortly.';
    return this.#refuse(reason, new VoiceError('fleet_unavailable', { message }), dialect);
  }

  #refuse(reason: UpgradeRefusalReason, error: VoiceError, dialect: Dialect): UpgradeRefusal {
    const { metrics, random = Math.random } = this.#deps;
    metrics.upgradesRefused.labels(reason).inc();
    return upgradeRefusal(error, dialect, random);
  }
}

function asVoiceError(thrown: unknown): VoiceError {
  if (thrown instanceof VoiceError) return thrown;
  const code = thrown instanceof RedisUnavailable ? 'fleet_unavailable' : 'internal';
  return new VoiceError(code, { cause: thrown });
}
