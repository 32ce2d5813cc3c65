import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Asked } from '@voice-fleet/fleet/demand-ledger';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Capacity } from '@voice-fleet/fleet/worker';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Registry } from 'prom-client';
import { DemandBook } from './demand-book.ts';
import { DemandMetrics } from './demand-metrics.ts';
import { DEMAND_INTERVAL_MS, DemandWatch, type DemandWatchDeps } from './demand-watch.ts';

const CAPACITY: Capacity = {
  workers: 1,
  readyWorkers: 1,
  failedWorkers: 0,
  slots: 10,
  leased: 7,
  free: 3,
  waiting: 3,
  moving: 1,
  waitingForAny: 2,
  waitingFor: new Map([['m', 1]]),
  models: new Map([['m', { free: 3, waiting: 1 }]]),
  pools: new Map([
    [
      'gpu',
      { workers: 1, readyWorkers: 1, slots: 10, leased: 7, leaving: 0, free: 3, models: ['m'] },
    ],
  ]),
};
const note = (over: Partial<Asked> = {}): Asked => ({
  waiting: {},
  refused: {},
  came: {},
  ...over,
});

let clock: FakeClock;
let registry: Registry;
let notes: Map<string, Asked>;
let capacity: () => Promise<Capacity>;
let faults: unknown[];
let watch: DemandWatch;

beforeEach(() => {
  clock = new FakeClock();
  registry = new Registry();
  notes = new Map();
  faults = [];
  capacity = async () => CAPACITY;
  watch = watchOf();
});
afterEach(() => watch.stop());

function watchOf(over: Partial<DemandWatchDeps> = {}): DemandWatch {
  return new DemandWatch({
    pools: [],
    weights: new Map(),
    warmupMs: () => 300_000,
    clock,
    ledger: { exchange: async (id, asked) => new Map([...notes, [id, asked]]) },
    capacity: () => capacity(),
    held: () => new Map([['m', 4]]),
    jobs: async () => 0,
    book: new DemandBook(clock),
    metrics: new DemandMetrics([registry]),
    onError: (error) => void faults.push(error),
    ...over,
  });
}

/** Lets whatever was asked be answered. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function tick(): Promise<void> {
  clock.advance(DEMAND_INTERVAL_MS);
  await settled();
}
async function shown(name = 'voice_fleet_demand_slots'): Promise<number | undefined> {
  const { values } = (await registry.getSingleMetric(name)?.get()) ?? { values: [] };
  return values[0]?.value;
}

describe('DemandWatch', () => {
  it('shows who runs, waits in line or before it, at any gateway, and was refused', async () => {
    notes.set('other', note({ waiting: { '': 5 }, refused: { m: 6 } }));
    watch.start();
    await settled();
    expect(await shown()).toBe(7 + 3 + 4 + 5 + 6);
    expect(await shown('voice_fleet_slots')).toBe(10);
    expect(await shown('voice_fleet_leased_slots')).toBe(7);
  });

  it('follows at its interval', async () => {
    watch.start();
    await settled();
    capacity = async () => ({ ...CAPACITY, waitingForAny: 12 });
    expect(await shown()).toBe(14);
    await tick();
    expect(await shown()).toBe(24);
  });

  it('shows nothing while Redis is away, never 0', async () => {
    watch.start();
    await settled();
    capacity = () => Promise.reject(new RedisUnavailable(new Error('away')));
    await tick();
    expect(await shown()).toBeUndefined();
    expect(await shown('voice_fleet_slots')).toBeUndefined();
    expect(faults).toEqual([]);
    capacity = async () => CAPACITY;
    await tick();
    expect(await shown()).toBe(14);
  });

  it('shows nothing when what Redis says makes no sense, and tells of it', async () => {
    capacity = () => Promise.reject(new TypeError('no'));
    watch.start();
    await settled();
    expect(await shown()).toBeUndefined();
    expect(faults).toHaveLength(1);
  });

  it('asks once at a time', async () => {
    let asked = 0;
    let answer: (capacity: Capacity) => void = () => undefined;
    capacity = () => {
      asked += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    watch.start();
    for (let index = 0; index < 5; index += 1) await tick();
    expect(asked).toBe(1);
    answer(CAPACITY);
    await settled();
    expect(await shown()).toBe(14);
    await tick();
    expect(asked).toBe(2);
    answer(CAPACITY);
  });

  it('shows no more, and holds no timer, once it is stopped', async () => {
    watch.start();
    await settled();
    await watch.stop();
    expect(await shown()).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it('takes for new what gateways count from one look to the next, through restarts of Redis and of gateways', async () => {
    const cameOf = (count: number): Asked => note({ came: { m: count } });
    let sessions = 60;
    capacity = async () => {
      const gpu = { ...CAPACITY.pools.get('gpu'), leased: sessions };
      return { ...CAPACITY, pools: new Map([['gpu', gpu as never]]) };
    };
    registry = new Registry();
    watch = watchOf({ held: () => new Map() });
    watch.start();
    // As many come as go: 1 in 5 s, of sessions that last 300 s. One gateway brought 90,000 before.
    let one = 90_000;
    let other = 0;
    for (let at = 0; at < 300; at += 1) {
      if (at === 150) other = 0;
      if (at % 2 === 0) one += 1;
      else other += 1;
      notes = new Map([['one', cameOf(one)]]);
      if (at > 100) notes.set('other', cameOf(other));
      if (at > 200 && at < 215) notes = new Map();
      sessions = 60;
      await tick();
    }
    expect(await shown()).toBeLessThan(60 + 3 + 30);
  });
});
