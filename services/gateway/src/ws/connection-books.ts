import type { LinePriority } from '@voice-fleet/fleet/lease';
import type { Principal } from '@voice-fleet/fleet/tenant';
import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { AdmissionOutcome } from '../admission-outcome.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { MoveCause } from '../session/link-holder.ts';
import type { SessionTotals } from '../session/session-deps.ts';
import { endReason } from './close-reason.ts';

interface BooksDeps {
  readonly clock: Clock;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
}

/** Log and metrics of one connection. */
export class ConnectionBooks {
  readonly #dialect: string;
  readonly #deps: BooksDeps;
  readonly #audioSeconds: { inc(seconds: number): void };
  #tierAudioSeconds: { inc(seconds: number): void } | undefined;
  #log: Logger;
  /** Of its tenant, once that is known. */
  #tier: LinePriority | undefined;
  #beganMs = 0;
  #acceptedSamples = 0;

  constructor(dialect: string, deps: BooksDeps) {
    this.#dialect = dialect;
    this.#deps = deps;
    this.#audioSeconds = deps.metrics.audioSeconds.labels(dialect);
    this.#log = deps.log.child({ protocol: dialect });
  }

  get log(): Logger {
    return this.#log;
  }

  /** Its session exists: all that is logged from now on names it. */
  named(sid: string, { limits }: Principal): void {
    this.#tier = limits.priority;
    this.#tierAudioSeconds = this.#deps.metrics.tierAudioSeconds.labels(limits.priority);
    this.#log = this.#log.child({ sid });
  }

  admission(outcome: AdmissionOutcome): void {
    const { metrics } = this.#deps;
    metrics.countAdmission(this.#dialect, outcome);
    if (this.#tier) metrics.tierAdmissions.labels(this.#tier, outcome).inc();
  }

  /** `acceptedSamples`: what was accepted of it before, elsewhere. */
  begun(
    { tenantId: tenant, keyId: key }: Principal,
    resumed: boolean,
    acceptedSamples: number,
  ): void {
    this.#acceptedSamples = acceptedSamples;
    this.#beganMs = this.#deps.clock.now();
    this.#count(1);
    this.#log.info({ event: 'session_started', tenant, key, resumed });
  }

  /** `samples` were accepted of the session so far, some maybe without a frame: they were held. False: no more than before. */
  accepted(samples: number): boolean {
    const more = samples - this.#acceptedSamples;
    if (more <= 0) return false;
    this.#acceptedSamples = samples;
    this.#audioSeconds.inc(more / SAMPLE_RATE);
    this.#tierAudioSeconds?.inc(more / SAMPLE_RATE);
    return true;
  }

  told(event: SessionEvent): void {
    const { metrics } = this.#deps;
    if (event.kind === 'error' || event.kind === 'failed') metrics.countError(event.error.code);
    else if (event.kind === 'dropped') metrics.droppedAudioSeconds.inc(event.samples / SAMPLE_RATE);
  }

  workerLost(cause: string): void {
    this.#deps.metrics.workersLost.inc();
    this.#log.warn({ event: 'worker_lost', cause });
  }

  moved(cause: MoveCause, tookMs: number): void {
    this.#deps.metrics.moves.labels(cause).inc();
    this.#deps.metrics.moveSeconds.observe(tookMs / 1000);
    this.#log.info({ event: 'session_moved', cause, tookMs });
  }

  /** Once, of any connection. `why`: unless its client ended it. `totals`: of a session that has begun. */
  ended(end: {
    readonly code: number;
    readonly why: CloseReason | undefined;
    readonly totals: SessionTotals | undefined;
  }): void {
    const { metrics, clock } = this.#deps;
    const { code, why, totals } = end;
    const initiator = why ? 'server' : 'client';
    metrics.countClose(code, initiator);
    if (totals === undefined) return;
    const durationS = (clock.now() - this.#beganMs) / 1000;
    this.#count(-1);
    metrics.sessionSeconds.labels(metrics.pool, endReason(why)).observe(durationS);
    const reason = why?.kind ?? 'client';
    this.#log.info({ event: 'session_ended', code, initiator, reason, durationS, ...totals });
  }

  #count(change: 1 | -1): void {
    const { sessionsActive, tierSessionsActive, pool } = this.#deps.metrics;
    sessionsActive.labels(pool, this.#dialect).inc(change);
    if (this.#tier) tierSessionsActive.labels(this.#tier).inc(change);
  }
}
