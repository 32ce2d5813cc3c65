import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import type { EngineLoad } from '../engines/engine.ts';
import { DEFAULT_CAPACITY } from './capacity-loop.ts';
import { CapacityMonitor } from './capacity-monitor.ts';

const TICK_MS = 5_000;
const SETTINGS = { ...DEFAULT_CAPACITY, start: 10, ceiling: 40 };

class MeasuredEngine extends ScriptedEngine {
  load: EngineLoad | undefined;
  errors = 0;
  asked = 0;

  async measure(): Promise<EngineLoad | undefined> {
    this.asked += 1;
    return this.load;
  }

  work() {
    return {
      chunksProcessed: 0,
      avgInferMs: 0,
      realtimeFactor: 0,
      consecutiveErrors: this.errors,
      lastError: undefined,
    };
  }
}

/** A tick of `sessions` whose frames take `stepMs`; over 80 ms fewer are answered than come. */
function loadOf(sessions: number, stepMs: number): EngineLoad {
  const due = Math.round((sessions * TICK_MS) / 80);
  const done = Math.round(due * Math.min(1, 80 / stepMs));
  return {
    frames: { due, done, p50Ms: 1.5 * stepMs, p95Ms: 1.95 * stepMs },
    behind: stepMs > 80 ? sessions : 0,
    kvUsage: 0.2,
    waitingForCapacity: 0,
    preemptions: 0,
  };
}

describe('CapacityMonitor', () => {
  let clock: FakeClock;
  let engine: MeasuredEngine;
  let inUse: number;
  let errors: unknown[];
  /** Batch jobs: whether there are any, and how often they were told to rest. */
  let jobs: { running: boolean; rests: number };
  let changes: [slots: number, level: string][];
  beforeEach(() => {
    clock = new FakeClock();
    engine = new MeasuredEngine({ slots: 7 });
    inUse = 0;
    jobs = { running: false, rests: 0 };
    changes = [];
    errors = [];
  });

  function start(fixedSlots = 0): CapacityMonitor {
    const monitor = new CapacityMonitor({
      clock,
      engine,
      settings: SETTINGS,
      tickMs: TICK_MS,
      fixedSlots,
      inUse: () => inUse,
      jobs: {
        ran: () => jobs.running,
        rest: () => {
          jobs.rests += 1;
        },
      },
      onChange: (slots, _, level) => void changes.push([slots, level]),
      onError: (error) => void errors.push(error),
    });
    monitor.start();
    return monitor;
  }

  async function tick(times = 1): Promise<void> {
    for (let nth = 0; nth < times; nth += 1) {
      clock.advance(TICK_MS);
      await turn();
    }
  }

  it('offers what the engine says until it is measured, and where it never is', async () => {
    const monitor = start();
    expect(monitor.slots).toBe(7);
    await tick();
    expect([monitor.slots, monitor.level, monitor.ready, changes]).toEqual([7, 'normal', true, []]);
  });

  it('grows under light load and tells so', async () => {
    const monitor = start();
    inUse = 10;
    engine.load = loadOf(10, 20);
    await tick(3);
    expect(monitor.slots).toBeGreaterThan(10);
    expect(changes.at(-1)).toEqual([monitor.slots, 'normal']);
    expect(monitor.status).toBe('healthy');
  });

  it('learns nothing of sessions while jobs take all there is, and has them rest when sessions feel it', async () => {
    const monitor = start();
    inUse = 1;
    engine.load = loadOf(10, 20);
    await tick(3);
    const { slots } = monitor;
    inUse = 0;
    jobs.running = true;
    engine.load = loadOf(10, 110);
    await tick(6);
    expect([monitor.slots, monitor.level, monitor.ready, jobs.rests]).toEqual([
      ...[slots, 'normal', true, 0],
    ]);
    inUse = 1;
    await tick();
    expect(jobs.rests).toBe(1);
    // Without jobs it is the sessions that are too many.
    jobs.running = false;
    await tick(3);
    expect([monitor.level, jobs.rests]).toEqual(['emergency', 1]);
  });

  it('E19: with the real-time factor climbs from warning over degrade to emergency, and comes back', async () => {
    const monitor = start();
    inUse = 10;
    const seen: [string, boolean, string][] = [];
    for (const stepMs of [70, 90, 110]) {
      engine.load = loadOf(10, stepMs);
      // The dwell of a level is ten seconds.
      await tick(3);
      seen.push([monitor.level, monitor.ready, monitor.status]);
    }
    expect(seen.map(([level, ready]) => [level, ready])).toEqual([
      ['warning', true],
      ['degrade', true],
      ['emergency', false],
    ]);
    expect(seen.map(([, , status]) => status)).toEqual(['warning', 'degraded', 'critical']);
    expect(monitor.slots).toBeLessThanOrEqual(10);
    engine.load = loadOf(10, 20);
    await tick(30);
    expect([monitor.level, monitor.ready]).toEqual(['normal', true]);
  });

  it('admits nobody at degrade, whatever was offered before', async () => {
    const monitor = start();
    inUse = 6;
    engine.load = loadOf(6, 90);
    await tick(3);
    expect(monitor.level).toBe('degrade');
    expect(monitor.slots).toBeLessThanOrEqual(6);
  });

  it('is at failover while the engine is lost, and starts anew with the next', async () => {
    const monitor = start();
    engine.load = loadOf(1, 20);
    engine.healthy = false;
    await tick();
    expect([monitor.level, monitor.ready]).toEqual(['failover', false]);
    engine.healthy = true;
    await tick();
    expect([monitor.level, monitor.ready]).toEqual(['normal', true]);
  });

  it.each(['loading', 'warming_up', 'error'] as const)(
    'is at failover while an engine that was ready is in state %s, also between ticks',
    async (state) => {
      const monitor = start();
      inUse = 10;
      engine.load = loadOf(10, 110);
      await tick(3);
      expect([monitor.level, monitor.ready]).toEqual(['emergency', false]);
      const { slots } = monitor;
      const ready = engine.health.bind(engine);
      engine.health = () => ({ state, reason: 'it died of the load' });
      expect([monitor.level, monitor.status]).toEqual(['failover', 'error']);
      engine.load = { ...loadOf(0, 0), frames: undefined };
      await tick();
      expect(changes.at(-1)?.[1]).toBe('failover');
      engine.health = ready;
      // What it was like before says nothing of the engine that is back.
      expect([monitor.level, monitor.ready, monitor.slots]).toEqual(['normal', true, slots]);
      await tick();
      expect(monitor.level).toBe('normal');
      expect(changes.at(-1)?.[1]).toBe('normal');
    },
  );

  it('E19: does not hold the load of an engine against the one that takes over', async () => {
    const monitor = start();
    inUse = 10;
    engine.load = loadOf(10, 110);
    await tick(3);
    expect([monitor.level, monitor.ready]).toEqual(['emergency', false]);
    Object.assign(engine, { name: 'another' });
    engine.load = undefined;
    await tick();
    expect([monitor.level, monitor.ready, monitor.slots]).toEqual(['normal', true, 7]);
  });

  it('tells nothing after it was stopped, whatever was under way', async () => {
    const monitor = start();
    let answer: (load: EngineLoad | undefined) => void = () => undefined;
    engine.measure = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await tick();
    monitor.stop();
    engine.healthy = false;
    answer(loadOf(1, 20));
    await turn();
    expect([changes, errors]).toEqual([[], []]);
  });

  it('E18: is in error after more than three failures in a row', () => {
    const monitor = start();
    engine.errors = 3;
    expect(monitor.status).toBe('healthy');
    engine.errors = 4;
    expect(monitor.status).toBe('error');
  });

  it('offers fixed slots, and takes sessions, whatever is measured', async () => {
    const monitor = start(12);
    inUse = 12;
    engine.load = loadOf(12, 200);
    await tick(5);
    expect([monitor.slots, monitor.ready]).toEqual([12, true]);
  });

  it('goes on when the engine cannot be asked', async () => {
    const monitor = start();
    engine.load = loadOf(1, 20);
    const { measure } = engine;
    engine.measure = () => Promise.reject(new Error('scripted'));
    await tick();
    expect(errors).toHaveLength(1);
    engine.measure = measure;
    await tick();
    expect([errors.length, monitor.slots]).toEqual([1, 10]);
  });

  it('asks again only when it was answered, and not after it was stopped', async () => {
    const monitor = start();
    let answer: (load: EngineLoad | undefined) => void = () => undefined;
    engine.measure = () => {
      engine.asked += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    await tick(3);
    expect(engine.asked).toBe(1);
    answer(undefined);
    await turn();
    await tick();
    expect(engine.asked).toBe(2);
    monitor.stop();
    answer(undefined);
    await tick(3);
    expect([engine.asked, clock.pending]).toEqual([2, 0]);
  });
});
