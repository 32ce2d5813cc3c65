import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { YapRejected, YapServerError, YapTimeout } from '../yap-errors.ts';
import { type LoadRunOptions, runLoad } from './load-run.ts';

type Session = (index: number, ending: AbortSignal, clock: FakeClock) => Promise<void>;

const lasting =
  (ms: number): Session =>
  (_index, _ending, clock) =>
    new Promise((resolve) => void clock.after(ms, resolve));

function start(session: Session, options: Partial<LoadRunOptions> = {}) {
  const clock = new FakeClock();
  const begun: number[] = [];
  const overs: string[] = [];
  const stop = new AbortController();
  const cut = new AbortController();
  const running = runLoad({
    phases: [{ name: 'steady', seconds: 4, sessionsPerSecond: 1 }],
    clock,
    maxSessions: 10,
    runSession: (index, _phase, ending) => session(index, ending, clock),
    listener: {
      begun: () => begun.push(clock.now()),
      over: (_, outcome, code) => overs.push(code === undefined ? outcome : `${outcome} ${code}`),
    },
    stop: stop.signal,
    graceMs: 5_000,
    cut,
    ...options,
  });
  let over = false;
  void running.then(() => {
    over = true;
  });
  /** Lets time pass, and what waits for it run. */
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 100) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(100);
    }
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, begun, overs, stop, cut, running, pass, isOver: () => over };
}

/** Rejects with the reason as soon as a signal aborts. */
const until = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });

describe('runLoad', () => {
  it('begins sessions at their moments although none of them ends', async () => {
    const run = start(lasting(60_000));
    await run.pass(4_000);
    expect(run.begun).toEqual([0, 1_000, 2_000, 3_000]);
    expect(run.overs).toEqual([]);
    await run.pass(60_000);
    await run.running;
    expect(run.overs).toEqual(Array(4).fill('completed'));
    expect(run.clock.pending).toBe(0);
  });

  it('skips those that would be too many, and counts them', async () => {
    const run = start(lasting(2_500), { maxSessions: 1 });
    await run.pass(8_000);
    await run.running;
    expect(run.begun).toEqual([0, 3_000]);
    expect(run.overs).toEqual(['skipped', 'skipped', 'completed', 'completed']);
  });

  it('tells refusals from failures, with their codes', async () => {
    const payload = { code: 'internal_error', message: 'x', details: { reason_code: 'engine' } };
    const frame = { type: 'error', session_id: 's', request_id: 'r', payload };
    const failures = [
      new YapRejected('capacity', 'full'),
      new YapRejected('auth', 'wrong key'),
      new YapTimeout('the transcript', 1),
      new YapServerError(frame as ConstructorParameters<typeof YapServerError>[0]),
    ];
    const run = start((index) => Promise.reject(failures[index] as Error));
    await run.pass(5_000);
    await run.running;
    expect(run.overs).toEqual([
      'refused server_at_capacity',
      'failed authentication_failed',
      'failed timeout',
      'failed engine',
    ]);
  });

  it('tells sessions when the last phase is over', async () => {
    const ends: number[] = [];
    const run = start((_, ending, clock) => until(ending).catch(() => void ends.push(clock.now())));
    await run.pass(6_000);
    await run.running;
    expect(ends).toEqual([4_000, 4_000, 4_000, 4_000]);
    expect(run.overs).toEqual(Array(4).fill('completed'));
  });

  it('begins nothing after a stop, and lets those that run come to their end', async () => {
    const run = start(lasting(2_500));
    await run.pass(1_500);
    run.stop.abort(new Error('SIGTERM'));
    await run.pass(3_000);
    await run.running;
    expect(run.overs).toEqual(['completed', 'completed']);
    expect(run.clock.pending).toBe(0);
  });

  it('cuts off those that have not ended within the grace', async () => {
    const cut = new AbortController();
    const run = start(() => until(cut.signal), { cut });
    await run.pass(1_500);
    run.stop.abort(new Error('SIGTERM'));
    await run.pass(4_900);
    expect(run.isOver()).toBe(false);
    await run.pass(200);
    await run.running;
    expect(run.overs).toEqual(['stopped', 'stopped']);
  });

  it('cuts them off when the last phase is over and a stop comes then', async () => {
    const cut = new AbortController();
    const run = start(() => until(cut.signal), { cut });
    await run.pass(4_500);
    run.stop.abort(new Error('SIGTERM'));
    await run.pass(5_100);
    await run.running;
    expect(run.overs).toEqual(Array(4).fill('stopped'));
  });

  it('is over at once when all is cut off', async () => {
    const cut = new AbortController();
    const run = start(() => until(cut.signal), { cut });
    await run.pass(1_500);
    cut.abort(new Error('Ctrl+C'));
    await run.running;
    expect(run.overs).toEqual(['stopped', 'stopped']);
    expect(run.clock.pending).toBe(0);
  });
});
