import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { metricsPage } from '@voice-fleet/telemetry/metrics-page';
import type { Attributes } from '@voice-fleet/telemetry/tracing/names';
import type { Span, SpanStart, Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { GatewayMetrics } from '../metrics.ts';
import { newTotals, type SessionTotals } from '../session/session-deps.ts';
import { VoiceBooks } from '../voice/voice-books.ts';
import { SessionChronicle } from './session-chronicle.ts';

interface Kept {
  readonly name: string;
  readonly start: SpanStart;
  readonly events: string[];
  attributes: Attributes;
  ended: boolean;
  error: string | undefined;
  endMs: number | undefined;
}

const USAGE = { promptTokens: 0, completionTokens: 0 };
const CLIENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('the chronicle of a session', () => {
  let clock: FakeClock;
  let spans: Kept[];
  let lines: Record<string, unknown>[];
  let totals: SessionTotals;
  let clientTrace: string | undefined;
  let chronicle: SessionChronicle;

  beforeEach(() => {
    clock = new FakeClock();
    spans = [];
    lines = [];
    totals = newTotals();
    clientTrace = undefined;
    const tracer: Tracer = {
      on: true,
      counts: { exported: 0, dropped: 0, failed: 0 },
      close: async () => undefined,
      start: (name, start = {}) => {
        const kept: Kept = {
          ...{ name, start, events: [], attributes: start.attributes ?? {} },
          ...{ ended: false, error: undefined, endMs: undefined },
        };
        spans.push(kept);
        const span: Span = {
          traceparent: `trace-${spans.length}`,
          traceId: `id-${spans.length}`,
          set: (more) => {
            kept.attributes = { ...kept.attributes, ...more };
          },
          event: (event) => void kept.events.push(event),
          content: () => undefined,
          end: (error, atMs) => {
            if (!kept.ended) Object.assign(kept, { ended: true, error, endMs: atMs });
          },
        };
        return span;
      },
    };
    const log = createLogger('gateway', 'info', {
      write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
    });
    chronicle = new SessionChronicle(
      {
        protocol: 'yap',
        method: 'GET',
        path: '/',
        traceparent: undefined,
        clientTrace: () => clientTrace,
      },
      { clock, tracer, log },
    );
    chronicle.admitting();
    chronicle.named({ id: 'sess', totals }, log);
    chronicle.queued(12);
    chronicle.admitted('accepted');
  });

  const begin = (number: number, resumed = false): string | undefined =>
    chronicle.onBegan({ id: `u${number}`, number, resumed });
  const final = (number: number): void =>
    chronicle.onSession({ kind: 'final', utteranceId: `u${number}`, text: 'x', usage: USAGE });
  const utterances = (): Kept[] => spans.filter(({ name }) => name === 'utterance');
  const told = (): Record<string, unknown>[] =>
    lines.filter(({ event }) => event === 'utterance_ended');

  it('has the first utterance in the trace of its connection, and links later ones to it', () => {
    expect(begin(1)).toBe('trace-3');
    final(1);
    begin(2);
    const [first, second] = utterances();
    expect(first?.start).toMatchObject({ parent: 'trace-1', links: [] });
    expect(second?.start.parent).toBeUndefined();
    expect(second?.start.links).toEqual(['trace-1']);
  });

  it('believes a client the trace it names, and nothing else of it', () => {
    clientTrace = CLIENT;
    begin(1);
    expect(utterances()[0]?.start).toMatchObject({
      parent: CLIENT,
      stranger: true,
      links: ['trace-1'],
    });
  });

  it('stays in the trace of the gateway that an utterance was begun at', () => {
    chronicle.onBegan({ id: 'u1', number: 1, traceparent: CLIENT, resumed: true });
    const [utterance] = utterances();
    expect(utterance?.start).toMatchObject({ parent: CLIENT, stranger: false });
    expect(utterance?.events).toEqual(['resume']);
    expect(chronicle.close('ended').resumes).toBe(1);
  });

  it('tells the same numbers to log, span and client', () => {
    begin(1);
    clock.advance(300);
    totals.acceptedSamples = 16_000;
    chronicle.onTaken(8_000);
    chronicle.onTaken(16_000);
    chronicle.onSession({ kind: 'partial', utteranceId: 'u1', text: 'a', tail: '' });
    chronicle.onMoved('lost', 40);
    final(1);
    const [turn] = chronicle.close('ended').turns;
    expect(turn).toMatchObject({ audio_ms: 1_000, lag_ms: 500, failovers: 1, outcome: 'final' });
    expect((turn?.t1_ms ?? 0) - (turn?.t0_ms ?? 0)).toBe(300);
    const [utterance] = utterances();
    expect(utterance?.events).toEqual(['first_partial', 'failover']);
    const { t0, t1, t2, lagMs, audioMs, failovers } = utterance?.attributes ?? {};
    expect({ t0_ms: t0, t1_ms: t1, t2_ms: t2 }).toEqual({
      t0_ms: turn?.t0_ms,
      t1_ms: turn?.t1_ms,
      t2_ms: turn?.t2_ms,
    });
    expect([lagMs, audioMs, failovers]).toEqual([500, 1_000, 1]);
    const { id, ...numbers } = turn ?? { id: '' };
    expect(told()).toMatchObject([{ ...numbers, utterance: id, trace_id: 'id-3' }]);
  });

  it('keeps an utterance that is answered open until its reply is over, or is cut into', () => {
    chronicle.expectAnswers();
    begin(1);
    final(1);
    begin(2);
    chronicle.replied('token');
    chronicle.replied('speech');
    expect(utterances().map(({ ended }) => ended)).toEqual([false, false]);
    chronicle.turnEnded('barged_in');
    expect(chronicle.over('u1', { t0: 1, t2: 2, t3: 3, t4: 4 })).toBe('id-3');
    const [first, second] = utterances();
    expect(first).toMatchObject({ ended: true, error: undefined });
    expect(first?.events).toEqual(['first_token', 'first_audio', 'barge_in']);
    expect(first?.attributes).toMatchObject({ outcome: 'barged_in', t0: 1, t4: 4 });
    expect(second?.ended).toBe(false);
  });

  it('names for the latency of an utterance its own trace, not that of its connection', async () => {
    const { voice, registry } = new GatewayMetrics([]);
    const log = createLogger('gateway', 'error', { write: () => undefined });
    const books = new VoiceBooks(voice, log, false, chronicle);
    for (const number of [1, 2]) {
      begin(number);
      final(number);
    }
    books.latency('u2', { t0: 0, t2: 400 });
    const { text } = await metricsPage(registry, 'application/openmetrics-text');
    expect(text).toMatch(/voice_latency_seconds_bucket.*trace_id="id-4"/);
    expect(text).not.toContain('trace_id="id-1"');
  });

  it('lasts no longer than the utterance, also where that is let go and nobody says so', () => {
    const nobody = { event: () => undefined, end: () => undefined, holdInput: () => undefined };
    const sink = chronicle.sink({
      ...nobody,
      workerLost: () => undefined,
      moved: () => undefined,
    });
    begin(1);
    clock.advance(1_000);
    const letGoMs = clock.wallNow();
    sink.letGo?.('u1');
    clock.advance(3_600_000);
    chronicle.close('gone');
    expect(utterances()).toMatchObject([{ ended: true, endMs: letGoMs }]);
  });

  it('ends what fails with its code, and what is open with the session', () => {
    begin(1);
    const error = new VoiceError('engine_failed');
    chronicle.onSession({ kind: 'error', error, utteranceId: 'u1' });
    begin(2);
    chronicle.close('gone');
    expect(utterances()).toMatchObject([
      { ended: true, error: 'engine_failed', attributes: { outcome: 'failed' } },
      { ended: true, error: undefined, attributes: { outcome: 'gone' } },
    ]);
  });

  it('reports a session once, with the last 64 utterances of many', () => {
    for (let number = 1; number <= 70; number += 1) {
      begin(number);
      final(number);
    }
    const report = chronicle.close('ended');
    expect([report.queue_ms, report.turns.length]).toEqual([12, 64]);
    expect(report.turns.at(-1)?.id).toBe('u70');
    expect(chronicle.close('client')).toBe(report);
  });
});
