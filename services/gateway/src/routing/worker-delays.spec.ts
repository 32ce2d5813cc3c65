import { describe, expect, it } from '@jest/globals';
import type { WorkerDelay } from '@voice-fleet/fleet/worker';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { WorkerDelays } from './worker-delays.ts';

const worker = (workerId: string, delayMs: number | undefined, ready = true): WorkerDelay => ({
  workerId,
  delayMs,
  ready,
});

function table(...workers: WorkerDelay[]) {
  const clock = new FakeClock();
  const errors: unknown[] = [];
  const state = { workers, reads: 0, fault: undefined as Error | undefined };
  const delays = new WorkerDelays({
    clock,
    read: async () => {
      state.reads += 1;
      if (state.fault) throw state.fault;
      return state.workers;
    },
    onError: (error) => errors.push(error),
  });
  return { clock, state, delays, errors };
}

describe('WorkerDelays', () => {
  it.each([
    [480, 480],
    [100, 240],
    [350, 240],
    [361, 480],
    [360, 240],
    [9_000, 960],
  ])('for a wish of %i ms finds workers of %i ms', async (wishMs, delayMs) => {
    const { delays } = table(worker('c', 960), worker('b', 480), worker('a', 240));
    expect((await delays.nearest(wishMs))[0]?.delayMs).toBe(delayMs);
  });

  it('finds those of other delays behind them, in their order', async () => {
    const workers = [960, 480, 240, 2_400].map((delayMs) => worker(String(delayMs), delayMs));
    const { delays } = table(...workers, worker('again', 480));
    const order = async (wishMs: number) =>
      (await delays.nearest(wishMs)).map(({ delayMs }) => delayMs);
    expect(await order(480)).toEqual([480, 240, 960, 2_400]);
    expect(await order(720)).toEqual([480, 960, 240, 2_400]);
  });

  it('names all workers of another delay, also those that are not ready or have none', async () => {
    const { delays } = table(
      worker('a', 240),
      worker('b', 480),
      worker('c', 480, false),
      worker('d', 960, false),
      worker('e', undefined),
    );
    expect((await delays.nearest(960))[0]).toEqual({ delayMs: 480, others: ['a', 'd', 'e'] });
    expect([delays.of('d'), delays.of('e'), delays.of('f')]).toEqual([960, undefined, undefined]);
  });

  it('finds nothing where no ready worker has a delay', async () => {
    const { delays } = table(worker('a', undefined), worker('b', 240, false));
    expect(await delays.nearest(240)).toEqual([]);
  });

  it('reads no more than once a second, and keeps what it knows when it cannot', async () => {
    const { delays, state, clock, errors } = table(worker('a', 240));
    await Promise.all([delays.nearest(1), delays.nearest(2)]);
    await delays.nearest(3);
    expect(state.reads).toBe(1);
    state.fault = new Error('gone');
    clock.advance(1_000);
    expect((await delays.nearest(4))[0]?.delayMs).toBe(240);
    expect([state.reads, errors]).toEqual([2, [state.fault]]);
  });
});
