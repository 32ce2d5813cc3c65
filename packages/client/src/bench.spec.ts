import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { runBench, summarizeBench } from './bench.ts';
import { sessionMetrics } from './marks.ts';
import type { SessionReport } from './transcribe.ts';
import { YapConnectionClosed, YapRejected, YapTimeout } from './yap-errors.ts';

function report(finalMs: number, continuity?: SessionReport['continuity']): SessionReport {
  const marks = {
    startMs: 10,
    firstAudioMs: 10,
    lastAudioMs: 900,
    flushMs: 900,
    firstWordMs: 300,
    tokenMs: [300, 500],
    finalMs,
    doneMs: finalMs,
  };
  const connection = { dialMs: 0, openMs: 1, createdMs: 2, endSentMs: finalMs, closedMs: finalMs };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  const transcript = { requestId: 'u', text: 'a', finalText: 'a', usage, droppedS: 0, marks };
  return { sessionId: 's', transcript, metrics: sessionMetrics(connection, marks, 1), continuity };
}

/** Advances the clock step by step until the promise has settled. */
async function drive<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  for (let i = 0; i < 1_000 && !settled; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!settled) clock.advance(20);
  }
  return await promise;
}

describe('runBench', () => {
  it('never runs more sessions at a time than asked, and runs all', async () => {
    const clock = new FakeClock();
    let running = 0;
    let peak = 0;
    const outcome = await drive(
      clock,
      runBench({
        sessions: 7,
        concurrency: 3,
        clock,
        runSession: async () => {
          running += 1;
          peak = Math.max(peak, running);
          await new Promise<void>((resolve) => clock.after(500, resolve));
          running -= 1;
          return report(1000);
        },
      }),
    );
    expect(outcome.reports).toHaveLength(7);
    expect(peak).toBe(3);
  });

  it('spreads the starts: session i begins (i mod 16) × 20 ms later', async () => {
    const clock = new FakeClock();
    const starts: number[] = [];
    const outcome = runBench({
      sessions: 18,
      concurrency: 18,
      clock,
      runSession: async (index) => {
        starts[index] = clock.now();
        return report(1000);
      },
    });
    await drive(clock, outcome);
    expect(starts.slice(0, 16)).toEqual(Array.from({ length: 16 }, (_, i) => i * 20));
    expect(starts.slice(16)).toEqual([0, 20]);
  });

  it('counts refusals worth another try apart, and everything else as an error, none as a success', async () => {
    const clock = new FakeClock();
    const failures = [
      new YapRejected('capacity', 'full'),
      new YapRejected('unavailable', 'no workers'),
      new YapRejected('auth', 'wrong key'),
      new YapTimeout('the transcript', 1000),
      new YapRejected('limit', 'too many sessions'),
      new YapRejected('quota', 'audio used up'),
      new YapConnectionClosed(1006, ''),
    ];
    const outcome = await drive(
      clock,
      runBench({
        sessions: 8,
        concurrency: 8,
        clock,
        runSession: async (index) => {
          const failure = failures[index];
          if (failure) throw failure;
          return report(1000);
        },
      }),
    );
    const summary = summarizeBench(outcome, 8);
    expect(summary).toMatchObject({ n: 8, transcribed: 1, rejected: 3, errors: 4 });
    expect(summary.errorKinds).toMatchObject({
      authentication_failed: 1,
      audio_quota_exhausted: 1,
    });
    expect(summary.rows.wallMs).toEqual({ avg: 1000, p50: 1000, p95: 1000 });
  });

  it('adds up the resumes of all sessions, and sums up their pauses', () => {
    const reports = [
      report(1000, { resumes: 2, pausesMs: [100, 300], acceptedSamples: 1 }),
      report(1000, { resumes: 0, pausesMs: [], acceptedSamples: 1 }),
      report(1000),
    ];
    const summary = summarizeBench({ reports, rejections: [], errors: [], elapsedMs: 1 }, 3);
    expect(summary).toMatchObject({ resumes: 2, pausesMs: { avg: 200, p50: 300, p95: 300 } });
  });

  it('has no rows for figures nobody measured', () => {
    const outcome = { reports: [], rejections: [], errors: [new Error('x')], elapsedMs: 0 };
    const summary = summarizeBench(outcome, 1);
    expect(summary.rows.wallMs).toBeUndefined();
    expect(summary.overallMinPerMin).toBe(0);
  });

  it('starts nothing after the signal, and does not count what it stopped', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const outcome = await drive(
      clock,
      runBench({
        sessions: 50,
        concurrency: 1,
        clock,
        signal: stop.signal,
        runSession: async () => {
          stop.abort(new Error('Ctrl+C'));
          throw new Error('Ctrl+C');
        },
      }),
    );
    expect(outcome).toMatchObject({ reports: [], rejections: [], errors: [] });
  });
});
