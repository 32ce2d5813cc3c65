import { describe, expect, it } from '@jest/globals';
import type { UtteranceMetrics } from '../marks.ts';
import { isSaturated } from './generator.ts';
import { loadRecordingOf } from './load-session.ts';
import { LoadTally } from './load-tally.ts';
import type { Phase } from './schedule.ts';
import { judgeLoad, type LoadLimits } from './thresholds.ts';

const PHASES: Phase[] = [
  { name: 'warm', seconds: 10, sessionsPerSecond: 0.3 },
  { name: 'peak', seconds: 10, sessionsPerSecond: 5 },
];
const RECORDING = loadRecordingOf('a.wav', Buffer.alloc(5_120), 'one two');

const FREE: LoadLimits = {
  refusedRatio: undefined,
  errorRatio: undefined,
  firstPartialP95Ms: undefined,
  finalP95Ms: undefined,
  deviatingRatio: undefined,
};

function metrics(ttfwMs: number | undefined, flushToFinalMs: number): UtteranceMetrics {
  const rest = { sendMs: 0, finalFromFirstAudioMs: 0, postSendToFinalMs: 0, decodeTailMs: 0 };
  const more = { behindAudioMs: 0, rtfServer: 0, partials: 0, partialsBeforeLastChunk: 0 };
  return { audioS: 0.16, ttfwMs, flushToFinalMs, partialGapsMs: [], ...rest, ...more };
}

/** Four sessions: three understood, of which one lost a word; one refused. */
function tally(): LoadTally {
  const all = new LoadTally(PHASES, [RECORDING]);
  const utter = (phase: number, text: string, ttfwMs: number, finalMs: number): void => {
    all.begun(phase, 1);
    all.admitted(phase, 5);
    const measured = metrics(ttfwMs, finalMs);
    all.uttered(phase, RECORDING, { metrics: measured, transcript: text, droppedS: 0.5 });
    all.over(phase, 'completed');
  };
  utter(0, 'One two.', 100, 50);
  utter(1, 'one two', 200, 60);
  utter(1, 'one', 900, 800);
  all.begun(1, 1);
  all.over(1, 'refused', 'server_at_capacity');
  return all;
}

describe('LoadTally', () => {
  it('counts sessions where they began, and adds up', () => {
    const { report } = tally();
    expect(report).toMatchObject({
      sessions: { begun: 4, completed: 3, refused: 1, failed: 0, stopped: 0, skipped: 0 },
      refusals: { server_at_capacity: 1 },
      errors: {},
      peakSessions: 1,
      utterances: 3,
      droppedS: 1.5,
      words: [{ transcripts: 3, distinct: 2, deviating: 1, lostWords: 1 }],
      phases: [
        { name: 'warm', asked: 3, sessions: { begun: 1, completed: 1, refused: 0 } },
        { name: 'peak', asked: 50, sessions: { begun: 3, completed: 2, refused: 1 } },
      ],
    });
    expect(report.latency.finalMs).toMatchObject({ count: 3, max: expect.closeTo(800, 0) });
    expect(report.phases[0]?.latency.finalMs).toMatchObject({
      count: 1,
      p95: expect.closeTo(50, 0),
    });
  });

  it('knows how many are open, and leaves out those skipped', () => {
    const all = new LoadTally(PHASES, [RECORDING]);
    all.begun(0, 0);
    all.begun(0, 0);
    all.over(0, 'skipped');
    all.over(0, 'failed', 'timeout');
    expect([all.active, all.report.peakSessions]).toEqual([1, 2]);
    expect(all.counts).toMatchObject({ begun: 2, failed: 1, skipped: 1 });
  });
});

describe('judgeLoad', () => {
  const verdict = (limits: Partial<LoadLimits>, report = tally().report) =>
    judgeLoad(report, { ...FREE, ...limits }).at(-1);

  it('judges only what is limited, and skipped sessions always', () => {
    expect(judgeLoad(tally().report, FREE)).toEqual([
      { name: 'skipped sessions', measured: 0, max: 0, pass: true },
    ]);
    const skipping = tally();
    skipping.over(1, 'skipped');
    expect(verdict({}, skipping.report)).toMatchObject({ measured: 1, pass: false });
  });

  it.each<[Partial<LoadLimits>, boolean]>([
    [{ refusedRatio: 0.25 }, true],
    [{ refusedRatio: 0.24 }, false],
    [{ errorRatio: 0 }, true],
    [{ firstPartialP95Ms: 950 }, true],
    [{ firstPartialP95Ms: 850 }, false],
    [{ finalP95Ms: 850 }, true],
    [{ finalP95Ms: 700 }, false],
    [{ deviatingRatio: 0.34 }, true],
    [{ deviatingRatio: 0.33 }, false],
  ])('holds %j to be %s', (limits, pass) => {
    expect(verdict(limits)).toMatchObject({ pass });
  });

  it('passes nothing that was not measured', () => {
    const { report } = new LoadTally(PHASES, [RECORDING]);
    for (const limits of [{ errorRatio: 1 }, { finalP95Ms: 1e6 }, { deviatingRatio: 1 }])
      expect(verdict(limits, report)).toMatchObject({ measured: undefined, pass: false });
  });
});

describe('isSaturated', () => {
  const well = { lagMs: 5, frameLateP99Ms: 12, startLateP99Ms: 3 };

  it('is told of a generator that is late itself, and of no other', () => {
    expect(isSaturated(well)).toBe(false);
    expect(isSaturated({ ...well, frameLateP99Ms: undefined })).toBe(false);
    for (const late of [{ lagMs: 101 }, { frameLateP99Ms: 81 }, { startLateP99Ms: 101 }])
      expect(isSaturated({ ...well, ...late })).toBe(true);
  });
});
