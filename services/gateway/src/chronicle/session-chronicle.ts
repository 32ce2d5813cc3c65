import type { LatencyMarks, SessionEvent } from '@voice-fleet/protocol/session';
import type { SessionReport, UtteranceReport } from '@voice-fleet/protocol/session-report';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { NO_SPAN, type Span, type Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { MoveCause } from '../session/link-holder.ts';
import type { Session } from '../session/session.ts';
import type { BegunUtterance, SessionSink } from '../session/session-deps.ts';
import type { TurnOutcome } from '../voice/turn.ts';
import type { Turns } from '../voice/turn-client.ts';
import { ChronicleSink, type SessionWitness } from './chronicle-sink.ts';
import { ms, reportAttributes, UtteranceRecord } from './utterance-record.ts';

/** Errors after which an utterance goes on. */
const COSTS_LITTLE = new Set(['cancelled', 'max_duration_exceeded', 'tts_failed', 'tts_timeout']);
/** A report names no more utterances. */
const MAX_TURNS = 64;

export interface ChronicleDeps {
  readonly clock: Clock;
  readonly tracer: Tracer;
  readonly log: Logger;
}

export interface ChronicleOrigin {
  readonly protocol: string;
  /** Of the request that asks for the session, without its query. */
  readonly path: string;
  readonly method: string;
  readonly traceparent: string | undefined;
  /** What its client last said of its own trace, for the utterance that begins. */
  readonly clientTrace?: () => string | undefined;
  /** Calls once when audio next comes. */
  readonly onNextAudio?: (came: () => void) => void;
}

/**
 * What happened in one session, from its first byte to its last: for the log, for its client, and as the spans of its traces.
 * The first utterance stands in the trace of the connection; each later one begins a trace that links to it, so that no trace
 * grows with the session.
 */
export class SessionChronicle implements SessionWitness {
  readonly #deps: ChronicleDeps;
  readonly #origin: ChronicleOrigin;
  readonly #accept: Span;
  readonly #turns: UtteranceReport[] = [];
  #log: Logger;
  #admit: Span = NO_SPAN;
  #session: Pick<Session, 'id' | 'totals'> | undefined;
  /** It takes audio, or its last words are waited for. */
  #open: UtteranceRecord | undefined;
  /** Its words are told, and it is being answered or may be. */
  #answered: UtteranceRecord | undefined;
  /** Utterances are answered, so they are not over with their last word. */
  #answers = false;
  #utterances = 0;
  #beganSample = 0;
  #beganMs: number;
  #queueMs = 0;
  #lagSamples = 0;
  #resumes = 0;
  #report: SessionReport | undefined;

  constructor(origin: ChronicleOrigin, deps: ChronicleDeps) {
    this.#origin = origin;
    this.#deps = deps;
    this.#log = deps.log;
    this.#beganMs = deps.clock.now();
    const { protocol, method, path, traceparent: parent } = origin;
    this.#accept = deps.tracer.start('accept', {
      kind: 'server',
      parent,
      stranger: true,
      attributes: { protocol, method, path },
    });
  }

  /** Of the trace that its log lines name. */
  get traceId(): string | undefined {
    return this.#accept.traceId;
  }

  /** Of what is being done for the session now. */
  get traceparent(): string | undefined {
    return (this.#open?.span ?? this.#admit).traceparent ?? this.#accept.traceparent;
  }

  /** What stands before the session's owner from now on. */
  sink(owner: SessionSink): SessionSink {
    return new ChronicleSink(owner, this);
  }

  /** Its client is looked at. */
  admitting(): void {
    const { protocol } = this.#origin;
    const attributes = { protocol };
    this.#admit = this.#deps.tracer.start('admit', {
      parent: this.#accept.traceparent,
      attributes,
    });
  }

  named(session: Pick<Session, 'id' | 'totals'>, log: Logger): void {
    this.#session = session;
    this.#log = log;
    const attributes = { session: session.id };
    this.#accept.set(attributes);
    this.#admit.set(attributes);
  }

  /** It waited so long for a slot. */
  queued(queueMs: number): void {
    this.#queueMs = Math.round(queueMs);
    this.#admit.set({ queueMs: this.#queueMs });
  }

  /** It was let in, or not: then `error` says why. */
  admitted(outcome: string, error?: string): void {
    this.#beganMs = this.#deps.clock.now();
    this.#admit.set({ outcome });
    this.#admit.end(error);
    this.#accept.set({ outcome });
    this.#accept.end(error);
  }

  /** From now on utterances are over when they are answered. */
  expectAnswers(): void {
    this.#answers = true;
  }

  onBegan({ id, number, traceparent, resumed }: BegunUtterance): string | undefined {
    const { tracer, clock } = this.#deps;
    if (this.#open) this.#end(this.#open, 'replaced');
    const own = this.#origin.clientTrace?.();
    const parent =
      traceparent ?? own ?? (this.#utterances === 0 ? this.#accept.traceparent : undefined);
    const stranger = parent !== undefined && parent === own;
    const session = this.#session?.id;
    const span = tracer.start('utterance', {
      parent,
      stranger,
      links: parent === this.#accept.traceparent ? [] : [this.#accept.traceparent],
      attributes: {
        session,
        conversation: session,
        utterance: number,
        protocol: this.#origin.protocol,
      },
    });
    const record = new UtteranceRecord(id, span);
    this.#open = record;
    this.#utterances += 1;
    this.#beganSample = this.#session?.totals.acceptedSamples ?? 0;
    if (resumed) {
      this.#resumes += 1;
      span.event('resume');
    }
    const { onNextAudio } = this.#origin;
    if (onNextAudio) onNextAudio(() => record.stamp('t0', clock.wallNow()));
    else record.stamp('t0', clock.wallNow());
    return span.traceparent;
  }

  /** It may be a minute until somebody says what became of it, or an hour until the next one. */
  onLetGo(utteranceId: string): void {
    if (this.#open?.id === utteranceId) this.#open.letGoMs = this.#deps.clock.wallNow();
  }

  /** What the session tells, before anybody makes something else of it. */
  onSession(event: SessionEvent): void {
    const record = this.#open;
    if (record === undefined) return;
    switch (event.kind) {
      case 'partial':
        if (record.stamp('t1', this.#deps.clock.wallNow())) record.span.event('first_partial');
        return;
      case 'final':
        return this.#onFinal(record, event.text);
      case 'dropped':
        record.droppedSamples += event.samples;
        return;
      case 'cancelled':
        return this.#end(record, 'cancelled');
      case 'error':
        if (event.utteranceId !== record.id) return;
        record.error = event.error.code;
        return this.#end(record, 'failed');
      default:
    }
  }

  onTaken(sample: number): void {
    const record = this.#open;
    const totals = this.#session?.totals;
    if (record === undefined || totals === undefined || sample < this.#beganSample) return;
    record.lagSamples = Math.max(record.lagSamples, totals.acceptedSamples - sample);
    this.#lagSamples = Math.max(this.#lagSamples, record.lagSamples);
  }

  onMoved(cause: MoveCause, tookMs: number): void {
    const record = this.#open;
    if (record === undefined) return;
    record.failovers += 1;
    record.span.event('failover', { cause, tookMs: Math.round(tookMs) });
  }

  /** Part of a reply was sent. */
  replied(kind: 'token' | 'speech'): void {
    const record = this.#answered;
    if (record === undefined) return;
    const [mark, name] =
      kind === 'token' ? (['t3', 'first_token'] as const) : (['t4', 'first_audio'] as const);
    if (record.stamp(mark, this.#deps.clock.wallNow())) record.span.event(name);
  }

  /** A reply has ended. */
  turnEnded(outcome: TurnOutcome): void {
    const record = this.#answered;
    if (record === undefined) return;
    record.outcome = outcome;
    if (outcome === 'barged_in') record.span.event('barge_in');
  }

  /** An utterance, or the reply to it, comes to nothing. */
  failed(utteranceId: string | undefined, code: string): void {
    const record = this.#find(utteranceId);
    if (record && !COSTS_LITTLE.has(code)) record.error = code;
  }

  /** An utterance is over, with its reply. `marks`: of who paces it. Returns the trace that it stands in, if that is kept. */
  over(utteranceId: string, marks: LatencyMarks): string | undefined {
    const record = this.#find(utteranceId);
    if (record === undefined) return undefined;
    record.replaceMarks(marks);
    const { outcome = record.error ? 'failed' : 'cancelled' } = record;
    // Marks of a reply that did not end are those of one whose place is taken.
    this.#end(record, outcome === 'final' && marks.t3 !== undefined ? 'replaced' : outcome);
    return record.span.traceId;
  }

  /** The reply to the last utterance is over, and so is that. */
  answered(): void {
    if (this.#answered) this.#end(this.#answered, this.#answered.outcome ?? 'final');
  }

  /** Turns that belong to the utterance being answered. */
  turns(turns: Turns): Turns {
    if (!this.#deps.tracer.on) return turns;
    return {
      open: (request, signal) => turns.open(request, signal, this.#answered?.span.traceparent),
    };
  }

  /** Ends what is open, and returns what there is to tell of the session. The first reason counts. */
  close(reason: string): SessionReport {
    this.#report ??= this.#sum(reason);
    return this.#report;
  }

  #sum(reason: string): SessionReport {
    this.answered();
    if (this.#open) this.#end(this.#open, 'gone');
    const { clock } = this.#deps;
    const totals = this.#session?.totals;
    return {
      outcome: reason,
      duration_ms: Math.round(clock.now() - this.#beganMs),
      queue_ms: this.#queueMs,
      audio_ms: ms(totals?.acceptedSamples ?? 0),
      dropped_ms: ms(totals?.droppedSamples ?? 0),
      lag_ms: ms(this.#lagSamples),
      utterances: totals?.utterances ?? 0,
      failovers: totals?.moves ?? 0,
      workers_lost: totals?.workersLost ?? 0,
      resumes: this.#resumes,
      turns: this.#turns,
    };
  }

  #onFinal(record: UtteranceRecord, text: string): void {
    const wallMs = this.#deps.clock.wallNow();
    record.stamp('t2', wallMs);
    record.finalMs = wallMs;
    record.outcome = 'final';
    record.span.content('heard', text);
    this.#count(record);
    if (!this.#answers) return this.#end(record, 'final');
    this.answered();
    this.#open = undefined;
    this.#answered = record;
  }

  #find(utteranceId: string | undefined): UtteranceRecord | undefined {
    return [this.#answered, this.#open].find((record) => record?.id === utteranceId);
  }

  #count(record: UtteranceRecord): void {
    const accepted = this.#session?.totals.acceptedSamples ?? 0;
    record.audioSamples = Math.max(0, accepted - this.#beganSample);
  }

  #end(record: UtteranceRecord, outcome: string): void {
    record.outcome = outcome;
    if (this.#open === record) {
      this.#count(record);
      this.#open = undefined;
    } else this.#answered = undefined;
    const { report } = record;
    this.#turns.push(report);
    if (this.#turns.length > MAX_TURNS) this.#turns.shift();
    record.span.set(reportAttributes(report));
    // One that nobody answered was over with its last word.
    record.span.end(record.error, outcome === 'final' ? record.finalMs : record.letGoMs);
    const { id: utterance, ...facts } = report;
    const trace_id = record.span.traceId;
    const error = record.error;
    this.#log.info({ event: 'utterance_ended', utterance, error, trace_id, ...facts });
  }
}
