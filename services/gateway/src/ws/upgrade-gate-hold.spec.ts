import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Capacity } from '@voice-fleet/fleet/worker';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type HoldOutcome, UpgradeHold } from './upgrade-gate-hold.ts';

const FULL: Capacity = {
  workers: 1,
  readyWorkers: 1,
  failedWorkers: 0,
  slots: 4,
  leased: 4,
  free: 0,
  waiting: 0,
  moving: 0,
  waitingForAny: 0,
  waitingFor: new Map(),
  pools: new Map(),
  models: new Map([['ears', { free: 0, waiting: 0 }]]),
};
const free = (count: number, over: Partial<Capacity> = {}): Capacity => ({
  ...FULL,
  leased: 4 - count,
  free: count,
  models: new Map([['ears', { free: count, waiting: 0 }]]),
  ...over,
});

describe('UpgradeHold', () => {
  let clock: FakeClock;
  let fleet: Capacity;
  let fault: Error | undefined;
  let questions: number;
  let inFlight: number;
  let mostInFlight: number;
  let hold: UpgradeHold;
  let log: string[];
  let settled: (() => void)[];
  let controllers: AbortController[];

  const holdOf = (maxSessions: number): UpgradeHold =>
    new UpgradeHold({
      clock,
      maxSessions,
      capacity: async () => {
        questions += 1;
        inFlight += 1;
        mostInFlight = Math.max(mostInFlight, inFlight);
        await Promise.resolve();
        inFlight -= 1;
        if (fault) throw fault;
        return fleet;
      },
    });

  beforeEach(() => {
    clock = new FakeClock();
    fleet = FULL;
    fault = undefined;
    questions = 0;
    inFlight = 0;
    mostInFlight = 0;
    log = [];
    settled = [];
    controllers = [];
    hold = holdOf(0);
  });

  const flush = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };

  async function pass(ms: number): Promise<void> {
    for (let step = 0; step < ms; step += 10) {
      clock.advance(10);
      await flush();
    }
  }

  function come(name: string, waitMs = 5_000, model?: string): void {
    const controller = new AbortController();
    controllers.push(controller);
    hold.wait(waitMs, controller.signal, model).then(
      (outcome: HoldOutcome) => {
        log.push(`${name} ${outcome.kind}`);
        if (outcome.kind === 'passed') settled.push(outcome.settled);
      },
      (error: Error) => log.push(`${name} ${error.name}`),
    );
  }

  describe('where several models are served', () => {
    const mixed = (ears: number, eyes: number, earsWaiting = 0): Capacity => ({
      ...FULL,
      free: ears + eyes,
      waiting: earsWaiting,
      models: new Map([
        ['ears', { free: ears, waiting: earsWaiting }],
        ['eyes', { free: eyes, waiting: 0 }],
      ]),
    });

    it('lets those pass whose model has a free slot, whoever waits for another', async () => {
      fleet = mixed(0, 2, 7);
      come('a', 50, 'ears');
      come('b', 50, 'eyes');
      come('c', 50);
      come('d', 50, 'eyes');
      await pass(20);
      // The last of them would be one too many.
      expect(log).toEqual(['b passed', 'c passed']);
      for (const one of settled) one();
      fleet = mixed(7, 0, 7);
      await pass(200);
      expect(log.slice(2)).toEqual(['a full', 'd full']);
      fleet = mixed(8, 0, 7);
      come('e', 50, 'ears');
      await pass(200);
      expect(log.at(-1)).toBe('e passed');
    });

    it('says of a model that no worker is there, though others are', async () => {
      fleet = mixed(1, 1);
      come('a', 50, 'nose');
      await pass(200);
      expect(log).toEqual(['a no_workers']);
    });
  });

  it('lets a client pass at once when a slot is free, and stops asking', async () => {
    fleet = free(1);
    come('a');
    await pass(10);
    expect(log).toEqual(['a passed']);
    await pass(1_000);
    expect([questions, hold.size, clock.pending]).toEqual([1, 0, 0]);
  });

  it('asks one question at a time for all who wait, ten in a second at the most', async () => {
    for (let client = 0; client < 300; client += 1) come(`c${client}`);
    await pass(2_000);
    expect(questions).toBeLessThanOrEqual(21);
    expect(questions).toBeGreaterThan(15);
    expect([mostInFlight, hold.size, log]).toEqual([1, 300, []]);
  });

  it('lets as many pass as there are slots, in the order in which they came', async () => {
    for (const name of ['a', 'b', 'c', 'd']) come(name);
    await pass(500);
    fleet = free(2);
    await pass(500);
    expect(log).toEqual(['a passed', 'b passed']);
    // Both have taken their slots now, and one more is free.
    fleet = free(1);
    for (const done of settled.splice(0)) done();
    await pass(200);
    expect(log).toEqual(['a passed', 'b passed', 'c passed']);
  });

  it('takes a client that passed as settled once only', async () => {
    fleet = free(1);
    come('a');
    come('b');
    await pass(200);
    settled[0]?.();
    settled[0]?.();
    come('c');
    await pass(500);
    expect(log).toEqual(['a passed', 'b passed']);
  });

  it('overtakes nobody who waits in line', async () => {
    fleet = free(2, { waiting: 2 });
    come('a');
    await pass(500);
    expect(log).toEqual([]);
    fleet = free(2, { waiting: 1 });
    await pass(200);
    expect(log).toEqual(['a passed']);
  });

  it('keeps to the limit of the fleet', async () => {
    hold = holdOf(3);
    fleet = free(2);
    come('a');
    come('b');
    await pass(500);
    expect(log).toEqual(['a passed']);
  });

  it('says no when the time is up: full, or without workers', async () => {
    come('a', 1_000);
    await pass(990);
    expect(log).toEqual([]);
    await pass(200);
    expect(log).toEqual(['a full']);
    fleet = { ...FULL, workers: 0, readyWorkers: 0, slots: 0, leased: 0 };
    come('b', 1_000);
    await pass(1_200);
    expect(log).toEqual(['a full', 'b no_workers']);
    expect([hold.size, clock.pending]).toEqual([0, 0]);
  });

  it('asks once for a client that is not held at all', async () => {
    come('a', 0);
    await pass(10);
    expect([log, questions]).toEqual([['a full'], 1]);
  });

  it('turns all away at once when Redis does not answer, and asks again for those who come then', async () => {
    come('a');
    await pass(200);
    fault = new RedisUnavailable('gone');
    await pass(200);
    expect(log).toEqual(['a RedisUnavailable']);
    fault = undefined;
    fleet = free(1);
    come('b');
    await pass(200);
    expect(log).toEqual(['a RedisUnavailable', 'b passed']);
  });

  it('forgets a client that has gone: it takes nothing from others, and no question is asked for it', async () => {
    come('a');
    come('b');
    await pass(200);
    controllers[0]?.abort();
    fleet = free(1);
    await pass(200);
    expect(log).toEqual(['a AbortError', 'b passed']);
    come('c');
    await flush();
    controllers[2]?.abort();
    const asked = questions;
    await pass(500);
    expect([questions, hold.size, clock.pending]).toEqual([asked, 0, 0]);
  });
});
