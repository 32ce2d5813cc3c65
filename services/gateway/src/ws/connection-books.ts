import type { IncomingMessage } from 'node:http';
import type { LinePriority } from '@voice-fleet/fleet/lease';
import type { Principal } from '@voice-fleet/fleet/tenant';
import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { traceparentIn } from '@voice-fleet/telemetry/tracing/traceparent';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { AdmissionOutcome } from '../admission-outcome.ts';
import { SessionChronicle } from '../chronicle/session-chronicle.ts';
import type { ClientWishes } from '../dialects/client-wishes.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { MoveCause } from '../session/link-holder.ts';
import type { Session } from '../session/session.ts';
import type { SessionTotals } from '../session/session-deps.ts';
import { endReason } from './close-reason.ts';
import type { PipelineOwner } from './pipeline.ts';

interface BooksDeps {
  readonly clock: Clock;
  readonly tracer: Tracer;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
}

interface AudioCounter {
  inc(seconds: number): void;
}

/** Log and metrics of one connection. */
export class ConnectionBooks {
  readonly chronicle: SessionChronicle;
  readonly #dialect: string;
  readonly #wishes: ClientWishes | undefined;
  readonly #deps: BooksDeps;
  readonly #audioSeconds: AudioCounter;
  /** Counts audio, and of each utterance also notes when the first came. */
  #audio: AudioCounter;
  #tierAudioSeconds: AudioCounter | undefined;
  #log: Logger;
  /** Of its tenant, once that is known. */
  #tier: LinePriority | undefined;
  #beganMs = 0;
  #acceptedSamples = 0;

  constructor(
    dialect: string,
    deps: BooksDeps,
    { url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>,
    wishes?: ClientWishes,
  ) {
    this.#dialect = dialect;
    this.#wishes = wishes;
    this.#deps = deps;
    this.#audioSeconds = deps.metrics.audioSeconds.labels(dialect);
    this.#audio = this.#audioSeconds;
    this.#log = deps.log.child({ protocol: dialect });
    this.chronicle = new SessionChronicle(
      {
        protocol: dialect,
        method: 'GET',
        path: url.split('?', 1)[0] ?? '',
        traceparent: traceparentIn(headers),
        ...(wishes && { clientTrace: () => wishes.trace }),
        onNextAudio: (came) => this.#noteNext(came),
      },
      { clock: deps.clock, tracer: deps.tracer, log: this.#log },
    );
  }

  get log(): Logger {
    return this.#log;
  }

  /** Its session exists: all that is logged from now on names it. */
  named(session: Pick<Session, 'id' | 'totals'>, { limits }: Principal): void {
    this.#tier = limits.priority;
    this.#tierAudioSeconds = this.#deps.metrics.tierAudioSeconds.labels(limits.priority);
    const { traceId: trace_id } = this.chronicle;
    this.#log = this.#log.child({ sid: session.id, ...(trace_id && { trace_id }) });
    this.chronicle.named(session, this.#log);
  }

  owner(tenantId: string): PipelineOwner {
    return { tenantId, log: this.#log, chronicle: this.chronicle };
  }

  /** The session ends here. `forGood`: nobody goes on with it, so its client is told of it all, if it asked for that. */
  over(
    reason: CloseReason['kind'],
    forGood: boolean,
  ): Extract<SessionEvent, { kind: 'report' }> | undefined {
    const report = this.chronicle.close(reason);
    return forGood && this.#wishes?.report ? { kind: 'report', report } : undefined;
  }

  /** It has a slot, `tookMs` after its upgrade. */
  letIn(tookMs: number, resumed: boolean): void {
    const { admissionSeconds } = this.#deps.metrics;
    admissionSeconds.record(tookMs / 1000, {}, this.chronicle.traceId);
    this.admission(resumed ? 'resumed' : 'accepted');
  }

  /** `error`: a code, where it was refused. */
  admission(outcome: AdmissionOutcome, error?: string): void {
    this.chronicle.admitted(outcome, error);
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
    this.#audio.inc(more / SAMPLE_RATE);
    this.#tierAudioSeconds?.inc(more / SAMPLE_RATE);
    return true;
  }

  /** The frames behind the next one cost nothing for it. */
  #noteNext(came: () => void): void {
    this.#audio = {
      inc: (seconds) => {
        this.#audio = this.#audioSeconds;
        this.#audio.inc(seconds);
        came();
      },
    };
  }

  told(event: SessionEvent): void {
    const { metrics } = this.#deps;
    if (event.kind === 'error' || event.kind === 'failed') metrics.countError(event.error.code);
    else if (event.kind === 'dropped') metrics.droppedAudioSeconds.inc(event.samples / SAMPLE_RATE);
    else if (event.kind === 'token' || event.kind === 'speech') this.chronicle.replied(event.kind);
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
    metrics.sessionSeconds.labels(endReason(why)).observe(durationS);
    const reason = why?.kind ?? 'client';
    const { turns: _turns, ...report } = this.chronicle.close(reason);
    const ended = { code, initiator, reason, durationS, ...totals, ...report };
    this.#log.info({ event: 'session_ended', ...ended });
  }

  #count(change: 1 | -1): void {
    const { sessionsActive, tierSessionsActive } = this.#deps.metrics;
    sessionsActive.labels(this.#dialect).inc(change);
    if (this.#tier) tierSessionsActive.labels(this.#tier).inc(change);
  }
}
