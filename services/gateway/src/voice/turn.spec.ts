import { beforeEach, describe, expect, it } from '@jest/globals';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { type ReplyEnd, TurnTaker } from './turn.ts';

const speech = (phrase: number): TurnEvent => ({
  type: 'speech',
  phrase,
  audio: `wav${phrase}`,
  sampleRate: 16_000,
  durationMs: 1,
});
const complete = (outcome: 'spoken' | 'failed'): TurnEvent => ({
  type: 'complete',
  outcome,
  tokens: 1,
  phrases: 1,
});

describe('TurnTaker', () => {
  let told: SessionEvent[];
  let ends: ReplyEnd[];
  let taker: TurnTaker;

  beforeEach(() => {
    told = [];
    ends = [];
    let seq = 7;
    taker = new TurnTaker('u', {
      event: (event) => void told.push(event),
      onStarted: () => undefined,
      nextSeq: () => seq++,
      onEnd: (end) => void ends.push(end),
    });
  });

  it('P27: numbers phrases through the session, whatever gaps the turn has', () => {
    for (const phrase of [0, 2]) {
      taker.take(speech(phrase));
      taker.take({ type: 'phrase_done', phrase });
    }
    taker.take({ type: 'phrase_done', phrase: 9 });
    expect(told).toEqual([
      { kind: 'speech', utteranceId: 'u', seq: 7, audio: 'wav0', durationMs: 1 },
      { kind: 'phrase-done', utteranceId: 'u', seq: 7 },
      { kind: 'speech', utteranceId: 'u', seq: 8, audio: 'wav2', durationMs: 1 },
      { kind: 'phrase-done', utteranceId: 'u', seq: 8 },
    ]);
  });

  it.each<[string, TurnEvent[], ReplyEnd]>([
    ['spoken', [complete('spoken')], { outcome: 'spoken', spoke: true }],
    ['failed at once', [complete('failed')], { outcome: 'failed', spoke: false }],
    [
      'failed when some was heard',
      [speech(0), complete('failed')],
      { outcome: 'failed', spoke: true },
    ],
    ['cut short', [speech(0)], { outcome: 'failed', spoke: true }],
  ])('ends as it was: %s', (_what, events, end) => {
    for (const event of events) taker.take(event);
    taker.end(undefined);
    expect(ends).toEqual([end]);
  });

  it('P30, P31: tells of phrases that failed or were left out', () => {
    taker.take({ type: 'error', code: 'tts_failed', message: 'm', phrase: 1 });
    taker.take({ type: 'phrase_dropped', phrase: 2 });
    expect(told).toMatchObject([
      { kind: 'error', error: { code: 'tts_failed', message: 'm', tier: 'recoverable' } },
      { kind: 'notice', code: 'phrase_dropped' },
    ]);
  });
});
