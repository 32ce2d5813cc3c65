import type { LatencyMarks } from '@voice-fleet/protocol/session';
import type { UtteranceReport } from '@voice-fleet/protocol/session-report';
import type { Attributes } from '@voice-fleet/telemetry/tracing/names';
import type { Span } from '@voice-fleet/telemetry/tracing/tracer';

const SAMPLES_PER_MS = 16;

/** What happened to one utterance. Its numbers are told once, to the log, its span and its client alike. */
export class UtteranceRecord {
  readonly id: string;
  readonly span: Span;
  /** Undefined while it takes audio. */
  outcome: string | undefined;
  /** Why it came to nothing: a code. */
  error: string | undefined;
  /** When its last word was told, on the wall clock. */
  finalMs: number | undefined;
  /** When it was let go, of which its owner may tell later, or never. */
  letGoMs: number | undefined;
  failovers = 0;
  droppedSamples = 0;
  lagSamples = 0;
  audioSamples = 0;
  #marks: { -readonly [Name in keyof LatencyMarks]: number } = {};

  constructor(id: string, span: Span) {
    this.id = id;
    this.span = span;
  }

  /** Only the first time counts. False: it is not. */
  stamp(mark: keyof LatencyMarks, wallMs: number): boolean {
    if (this.#marks[mark] !== undefined) return false;
    this.#marks[mark] = Math.round(wallMs);
    return true;
  }

  /** What whoever paces the utterance knows better. */
  replaceMarks(marks: LatencyMarks): void {
    this.#marks = { ...marks };
  }

  get report(): UtteranceReport {
    const { t0, t1, t2, t3, t4 } = this.#marks;
    return {
      id: this.id,
      outcome: this.outcome ?? 'gone',
      ...(t0 !== undefined && { t0_ms: t0 }),
      ...(t1 !== undefined && { t1_ms: t1 }),
      ...(t2 !== undefined && { t2_ms: t2 }),
      ...(t3 !== undefined && { t3_ms: t3 }),
      ...(t4 !== undefined && { t4_ms: t4 }),
      audio_ms: ms(this.audioSamples),
      dropped_ms: ms(this.droppedSamples),
      lag_ms: ms(this.lagSamples),
      failovers: this.failovers,
    };
  }
}

/** The same numbers as a span's attributes. */
export function reportAttributes(report: UtteranceReport): Attributes {
  return {
    outcome: report.outcome,
    t0: report.t0_ms,
    t1: report.t1_ms,
    t2: report.t2_ms,
    t3: report.t3_ms,
    t4: report.t4_ms,
    audioMs: report.audio_ms,
    droppedMs: report.dropped_ms,
    lagMs: report.lag_ms,
    failovers: report.failovers,
  };
}

export function ms(samples: number): number {
  return Math.max(0, Math.round(samples / SAMPLES_PER_MS));
}
