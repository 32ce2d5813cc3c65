import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { runSmoke, type SmokeCheck, SmokeFault } from './smoke.ts';
import { YapRejected, YapTimeout, YapUnreachable } from './yap-errors.ts';

const FULL = new YapRejected('capacity', 'All slots are taken.');
const STARTING = new YapRejected('unavailable', 'No workers.');
const WRONG_KEY = new YapRejected('auth', 'Wrong key.');

/** A check that meets these failures, one a try, and then succeeds. */
function failing(...failures: Error[]): SmokeCheck {
  return {
    name: 'stream',
    run: async () => {
      const failure = failures.shift();
      if (failure) throw failure;
      return 'words';
    },
  };
}

/** One that meets the same failure whenever it is tried. */
const always = (failure: Error): SmokeCheck => ({
  name: 'stream',
  run: () => Promise.reject(failure),
});

async function smoke(checks: readonly SmokeCheck[], signal = new AbortController().signal) {
  const clock = new FakeClock();
  const retries: unknown[] = [];
  const running = runSmoke(checks, {
    clock,
    timeoutMs: 60_000,
    tryMs: 30_000,
    signal,
    onRetry: (_, error) => retries.push(error),
  });
  let over = false;
  const settled = (): void => {
    over = true;
  };
  running.then(settled, settled);
  for (let step = 0; step < 1_000 && !over; step++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!over) clock.advance(500);
  }
  return { results: await running, retries, clock };
}

describe('runSmoke', () => {
  it('passes at once when the fleet answers, and leaves no timer behind', async () => {
    const { results, retries, clock } = await smoke([failing()]);
    expect(results).toMatchObject([{ check: 'stream', outcome: 'ok', tries: 1, detail: 'words' }]);
    expect(retries).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('tries again while the fleet starts, and says why', async () => {
    const unreachable = new YapUnreachable('ECONNREFUSED');
    const { results, retries } = await smoke([failing(unreachable, STARTING)]);
    expect(results).toMatchObject([{ outcome: 'ok', tries: 3 }]);
    expect(retries).toEqual([unreachable, STARTING]);
  });

  it('fails when the time is up, with the last failure and not the time', async () => {
    const { results, clock } = await smoke([always(STARTING)]);
    expect(results).toMatchObject([{ outcome: 'failed', error: STARTING }]);
    expect(clock.now()).toBeLessThanOrEqual(61_000);
  });

  it('is over when the time is up although a check never settles by itself', async () => {
    const stuck: SmokeCheck = {
      name: 'stream',
      run: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    };
    const { results, clock } = await smoke([stuck]);
    expect(results).toMatchObject([{ outcome: 'failed', error: expect.any(YapTimeout) }]);
    expect(clock.now()).toBeLessThanOrEqual(61_000);
  });

  it('takes ten seconds without a free slot for an answer, and skips the rest', async () => {
    const { results, clock } = await smoke([always(FULL), failing()]);
    expect(results).toMatchObject([
      { outcome: 'refused', error: FULL },
      { outcome: 'skipped', tries: 0 },
    ]);
    expect(clock.now()).toBeLessThanOrEqual(13_000);
  });

  it('does not call a fleet full that was so only for a moment', async () => {
    const { results } = await smoke([failing(FULL, FULL, STARTING, FULL, FULL, FULL)]);
    expect(results).toMatchObject([{ outcome: 'ok', tries: 7 }]);
  });

  it.each<[string, Error]>([
    ['a wrong key', WRONG_KEY],
    ['a transcript without a word', new SmokeFault('final', 'empty')],
    ['a fault of this program', new TypeError('x')],
  ])('fails at once for %s', async (_, failure) => {
    const { results, clock } = await smoke([always(failure), failing()]);
    expect(results).toMatchObject([{ outcome: 'failed', tries: 1 }, { outcome: 'skipped' }]);
    expect(clock.now()).toBe(0);
  });

  it('rejects with the reason of whoever interrupts it', async () => {
    const stop = new AbortController();
    const check: SmokeCheck = {
      name: 'stream',
      run: async () => {
        stop.abort(new Error('Ctrl+C'));
        throw STARTING;
      },
    };
    await expect(smoke([check], stop.signal)).rejects.toThrow('Ctrl+C');
  });
});
